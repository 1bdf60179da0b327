#include "os/socket.h"
#include "base/log.h"
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* ---- options ---- */

static bool set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static bool is_inet(const struct socket_want *w) { return w->addr.family == AF_INET || w->addr.family == AF_INET6; }

/* What changes nothing when it is refused: the server works without it. */
static void prefer(int fd, int level, int name, int value, const char *what, const struct socket_want *w)
{
    if (set_int(fd, level, name, value)) return;
    char room[ADDR_TEXT_MAX];
    struct build b = build_in_room(room, sizeof room);
    int err = errno;
    addr_print(&b, &w->addr, false);
    log_at(log_main, L_WARN, NULL, err, "setsockopt(%s, %d) %.*s failed, ignored", what, value, (int) b.n, b.p);
}

#define PREFER(fd, level, name, value, w) prefer((fd), (level), (name), (value), #name, (w))

static void set_keepalive(int fd, const struct socket_want *w)
{
    if (w->keepalive < 0) return;
    PREFER(fd, SOL_SOCKET, SO_KEEPALIVE, w->keepalive, w);
    if (!w->keepalive) return;
    if (w->keepidle) PREFER(fd, IPPROTO_TCP, TCP_KEEPIDLE, w->keepidle, w);
    if (w->keepintvl) PREFER(fd, IPPROTO_TCP, TCP_KEEPINTVL, w->keepintvl, w);
    if (w->keepcnt) PREFER(fd, IPPROTO_TCP, TCP_KEEPCNT, w->keepcnt, w);
}

/* Without the right to it (CAP_NET_ADMIN or CAP_NET_RAW) connections still come by REDIRECT. */
static void set_transparent(int fd, const struct socket_want *w, bool fresh)
{
    int on = 0;
    socklen_t size = sizeof on;
    bool six = w->addr.family == AF_INET6;
    if (fresh && !w->transparent) return;
    int level = six ? IPPROTO_IPV6 : IPPROTO_IP, name = six ? IPV6_TRANSPARENT : IP_TRANSPARENT;
    if (getsockopt(fd, level, name, &on, &size) == 0 && (on != 0) == w->transparent) return;
    prefer(fd, level, name, w->transparent, "IP_TRANSPARENT", w);
}

void socket_set_options(int fd, const struct socket_want *w, bool fresh)
{
    if (w->rcvbuf > 0) PREFER(fd, SOL_SOCKET, SO_RCVBUF, w->rcvbuf, w);
    if (w->sndbuf > 0) PREFER(fd, SOL_SOCKET, SO_SNDBUF, w->sndbuf, w);
    if (w->type != SOCK_STREAM || !is_inet(w)) return;
    set_keepalive(fd, w);
    set_transparent(fd, w, fresh);
    if (w->fastopen >= 0) PREFER(fd, IPPROTO_TCP, TCP_FASTOPEN, w->fastopen, w);
    if (w->deferred || !fresh) PREFER(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, w->deferred, w);
}

/* ---- opening ---- */

static int fail(int fd, const char *call, const char **call_out)
{
    int err = errno;
    *call_out = call;
    if (fd >= 0) close(fd);
    errno = err;
    return -1;
}

static int bind_unix(int fd, const struct socket_want *w, const struct sockaddr_storage *sa, socklen_t len, const char **call_out)
{
    if (bind(fd, (const struct sockaddr *) sa, len) != 0) return fail(fd, "bind()", call_out);
    if (chmod(w->addr.un.path, 0666) != 0) return fail(fd, "chmod()", call_out);
    return fd;
}

int socket_bind(const struct socket_want *w, bool join, const char **call_out)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_sockaddr(&w->addr, &sa);
    int protocol = w->multipath && w->type == SOCK_STREAM && is_inet(w) ? IPPROTO_MPTCP : 0;
    int fd = socket(w->addr.family, w->type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) return fail(fd, "socket()", call_out);
    if (!is_inet(w)) return bind_unix(fd, w, &sa, len, call_out);
    /* A datagram socket with SO_REUSEADDR would share the port with anybody. */
    if (w->type == SOCK_STREAM && !set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return fail(fd, "setsockopt(SO_REUSEADDR)", call_out);
    if (join && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return fail(fd, "setsockopt(SO_REUSEPORT)", call_out);
    if (w->addr.family == AF_INET6 && !set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, w->ipv6only)) return fail(fd, "setsockopt(IPV6_V6ONLY)", call_out);
    socket_set_options(fd, w, true);
    if (bind(fd, (struct sockaddr *) &sa, len) != 0) return fail(fd, "bind()", call_out);
    if (!join && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return fail(fd, "setsockopt(SO_REUSEPORT)", call_out);
    return fd;
}

bool socket_original(int fd, struct addr *out)
{
    enum { ORIGINAL_DST = 80 };      /* SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST: linux/netfilter_ipv4.h does not go with netinet/in.h */
    struct sockaddr_storage room;
    socklen_t size = sizeof room;
    if (getsockopt(fd, IPPROTO_IP, ORIGINAL_DST, &room, &size) != 0 || room.ss_family != AF_INET) {
        size = sizeof room;
        if (getsockopt(fd, IPPROTO_IPV6, ORIGINAL_DST, &room, &size) != 0 || room.ss_family != AF_INET6) return false;
    }
    addr_from_sockaddr(out, (struct sockaddr *) &room, size);
    return true;
}

bool socket_is_local(const struct addr *a)
{
    struct sockaddr_storage room;
    struct addr any_port = *a;
    if (a->family != AF_INET && a->family != AF_INET6) return true;
    addr_set_port(&any_port, 0);
    socklen_t size = addr_sockaddr(&any_port, &room);
    int fd = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool local = fd >= 0 && bind(fd, (struct sockaddr *) &room, size) == 0;
    if (fd >= 0) close(fd);
    return local;
}

int socket_listen(int fd, const struct socket_want *w)
{
    return w->type == SOCK_STREAM ? listen(fd, w->backlog) : 0;
}

/* ---- steering ---- */

/* The program's answer is the place in the group of the socket that takes the connection. A connection that is being made
 * stays with the socket that got its SYN, so any spread will do for streams; datagrams go by their sender. */
int socket_steer(int fd, const struct socket_want *w, unsigned n)
{
    struct sock_filter stream[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned) (SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    unsigned source = (unsigned) SKF_NET_OFF + (w->addr.family == AF_INET6 ? 20 : 12);
    struct sock_filter datagram[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (unsigned) SKF_NET_OFF + (w->addr.family == AF_INET6 ? 40 : 20)),   /* port, without IP options */
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog prog = { countof(stream), stream };
    if (w->type == SOCK_DGRAM) prog = (struct sock_fprog) { countof(datagram), datagram };
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof prog);
}

int socket_steer_all(int fd)
{
    int zero = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero, sizeof zero) == 0) return 0;
    return errno == ENOENT || errno == EOPNOTSUPP ? 0 : -1;      /* nothing was attached, or could be (MPTCP) */
}

/* ---- inherited ---- */

bool socket_describe(struct pool *p, int fd, struct addr *out, int *type_out)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa, int_len = sizeof(int);
    int listening = 0;
    if (getsockname(fd, (struct sockaddr *) &sa, &len) != 0) return false;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, type_out, &int_len) != 0) return false;
    if (*type_out == SOCK_STREAM && (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) != 0 || !listening)) return false;
    addr_from_sockaddr(out, (struct sockaddr *) &sa, len);
    if (out->family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *) &sa;
        size_t n = strnlen(un->sun_path, len - offsetof(struct sockaddr_un, sun_path));
        if (n == 0) return false;
        out->un.path = pool_cstr(p, text_of(un->sun_path, n));
    }
    return out->family == AF_INET || out->family == AF_INET6 || out->family == AF_UNIX;
}

/* ---- messages ---- */

int socket_pair(int fds_out[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_out);
}

ssize_t socket_send_message(int fd, struct text message, int pass)
{
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control;
    struct iovec io = { (void *) (uintptr_t) message.p, message.n };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
    if (pass >= 0) {
        memset(&control, 0, sizeof control);
        control.head = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof pass) };
        memcpy(CMSG_DATA(&control.head), &pass, sizeof pass);
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

ssize_t socket_recv_message(int fd, char *room, size_t size, int *passed_out)
{
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control;
    struct iovec io = { room, size };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    *passed_out = -1;
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    if (n < 0) return n;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) memcpy(passed_out, CMSG_DATA(c), sizeof(int));
    return n;
}
