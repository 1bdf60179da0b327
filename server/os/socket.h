/*
 * socket: listening sockets and their options, one at a time. Who owns which socket is the process layer's business.
 *
 * All sockets of one address form a SO_REUSEPORT group: the kernel spreads new connections over them. The first one is bound
 * without SO_REUSEPORT, so that an address in use by somebody else is found out (EADDRINUSE); it and its followers get the
 * option before they listen. The group's order is the order of socket_listen; closing the last keeps it.
 */
#ifndef OS_SOCKET_H
#define OS_SOCKET_H

#include "os/addr.h"

struct socket_want {
    struct addr addr;
    int         type;            /* SOCK_STREAM, SOCK_DGRAM */
    int         backlog;
    int         rcvbuf, sndbuf;  /* 0: the system's */
    int         fastopen;        /* -1: off */
    int         ipv6only;        /* 1, 0 */
    int         keepalive;       /* -1: the system's, 0 off, 1 on */
    int         keepidle, keepintvl, keepcnt;   /* seconds, seconds, probes; 0: the system's */
    bool        deferred, multipath, transparent, reuseport;
};

/* Opens and binds. join: a member of a group that is there already. Non-blocking, close-on-exec.
 * -1: *call_out names what failed (for the log: "bind() to 0.0.0.0:80"), errno says why. */
int socket_bind(const struct socket_want *w, bool join, const char **call_out);
/* Begins to listen (streams; for datagrams nothing is to be done). -1 with errno. */
int socket_listen(int fd, const struct socket_want *w);
/* Options that may change while it is open: buffers, keep-alive, deferred, fastopen, backlog. Each one that the kernel refuses is
 * logged at [alert] level only if it is an error of ours; else [warn]. fresh: just bound, options at default are left alone. */
void socket_set_options(int fd, const struct socket_want *w, bool fresh);
/* New connections go to the first n sockets of fd's group; all: to every one of them again. -1 with errno. */
int socket_steer(int fd, const struct socket_want *w, unsigned n);
int socket_steer_all(int fd);
/* Bound address and type of an inherited descriptor; false: not a listening (or bound datagram) socket. A unix path is kept in p. */
bool socket_describe(struct pool *p, int fd, struct addr *out, int *type_out);
/* Where netfilter led the connection fd away from (REDIRECT, DNAT). False: nobody did. */
bool socket_original(int fd, struct addr *out);
/* Is a one of this machine's addresses? Its port does not count. */
bool socket_is_local(const struct addr *a);
/* A pair for messages between master and child: non-blocking, close-on-exec, whole messages. -1 with errno. */
int socket_pair(int fds_out[2]);
/* One message with at most one descriptor (-1: none). Bytes, 0 at the end, or -1 with errno. */
ssize_t socket_send_message(int fd, struct text message, int pass);
ssize_t socket_recv_message(int fd, char *room, size_t size, int *passed_out);

#endif
