#include "event/nameserver.h"
#include "weir_config.h"

#ifdef HAVE_CARES

#include <ares.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/time.h>

enum { TRY_MS = 1500, TRIES = 3 };

struct nameserver {
    ares_channel      channel;
    struct timer      timer;
    struct port      *ports;          /* its sockets */
    unsigned          load;
    bool              search;
};

struct port { struct port *next; struct nameserver *server; struct watch watch; };

struct question { struct nameserver *server; void (*told)(void *arg, enum lookup_end how, struct text message); void *arg; };

bool nameserver_is_built(void) { return true; }
unsigned nameserver_load(const struct nameserver *s) { return s->load; }

/* ---- the loop's side: c-ares says which sockets and which deadline ---- */

static void set_timer(struct nameserver *s)
{
    struct timeval room, *tv = ares_timeout(s->channel, NULL, &room);
    if (tv) timer_set(&s->timer, (uint64_t) tv->tv_sec * 1000 + (uint64_t) tv->tv_usec / 1000 + 1);
    else timer_stop(&s->timer);
}

static void fire(struct timer *t)
{
    struct nameserver *s = container_of(t, struct nameserver, timer);
    ares_process_fd(s->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(s);
}

/* The port may be gone when c-ares returns. */
static void ready(struct watch *w, uint32_t events)
{
    struct nameserver *s = container_of(w, struct port, watch)->server;
    int fd = w->fd;
    bool broken = events & (EPOLLERR | EPOLLHUP);
    ares_process_fd(s->channel, broken || events & EPOLLIN ? fd : ARES_SOCKET_BAD, broken || events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
    set_timer(s);
}

static void drop_port(struct port **at)
{
    struct port *p = *at;
    *at = p->next;
    watch_remove(&p->watch);
    free(p);
}

static void want(void *data, ares_socket_t fd, int readable, int writable)
{
    struct nameserver *s = data;
    struct port **at = &s->ports;
    while (*at && (*at)->watch.fd != fd) at = &(*at)->next;
    if (*at) drop_port(at);
    if (!readable && !writable) return;
    struct port *p = base_zalloc(1, sizeof *p);
    *p = (struct port) { .next = s->ports, .server = s, .watch = { .fd = fd, .ready = ready } };
    s->ports = p;
    /* What cannot be watched is not answered: c-ares finds that out by its deadline. */
    watch_add(&p->watch, (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u));
}

/* ---- questions ---- */

static enum lookup_end end_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: case ARES_ENODATA: return LOOKUP_FOUND;
    case ARES_ENOTFOUND: case ARES_EBADNAME: return LOOKUP_NONE;
    case ARES_EFORMERR: case ARES_EBADRESP: return LOOKUP_FORMAT;
    case ARES_ENOTIMP: return LOOKUP_UNKNOWN;
    case ARES_EREFUSED: return LOOKUP_REFUSED;
    case ARES_ETIMEOUT: case ARES_ECONNREFUSED: return LOOKUP_TIMEOUT;
    default: return LOOKUP_SERVER;
    }
}

static void answered(void *arg, int status, int timeouts, unsigned char *message, int n)
{
    struct question *q = arg;
    (void) timeouts;
    q->server->load--;
    if (status != ARES_EDESTRUCTION) q->told(q->arg, end_of(status), text_of((const char *) message, message && n > 0 ? (size_t) n : 0));
    free(q);
}

void nameserver_ask(struct nameserver *s, const char *name, enum dns_type type, void (*told)(void *arg, enum lookup_end how, struct text message), void *arg)
{
    struct question *q = base_alloc(sizeof *q);
    *q = (struct question) { s, told, arg };
    s->load++;
    if (s->search) ares_search(s->channel, name, 1, type, answered, q);
    else ares_query(s->channel, name, 1, type, answered, q);
    set_timer(s);
}

bool nameserver_hosts(struct nameserver *s, const char *name, sa_family_t family, struct addr *out)
{
    struct hostent *h = NULL;
    size_t size = family == AF_INET6 ? sizeof out->in6.sin6_addr : sizeof out->in.sin_addr;
    if (ares_gethostbyname_file(s->channel, name, family, &h) != ARES_SUCCESS || !h) return false;
    bool found = h->h_addrtype == family && h->h_length == (int) size && h->h_addr_list[0];
    if (found) {
        *out = (struct addr) { .family = family };
        memcpy(family == AF_INET6 ? (void *) &out->in6.sin6_addr : (void *) &out->in.sin_addr, h->h_addr_list[0], size);
    }
    ares_free_hostent(h);
    return found;
}

/* ---- begin and end ---- */

static int set_servers(struct nameserver *s, const struct addr *servers, size_t count)
{
    struct ares_addr_port_node *v = base_zalloc(count, sizeof *v);
    for (size_t i = 0; i < count; i++) {
        v[i].next = i + 1 < count ? &v[i + 1] : NULL;
        v[i].family = servers[i].family;
        v[i].udp_port = v[i].tcp_port = addr_port(&servers[i]);
        if (servers[i].family == AF_INET6) memcpy(&v[i].addr.addr6, &servers[i].in6.sin6_addr, 16);
        else v[i].addr.addr4 = servers[i].in.sin_addr;
    }
    int status = ares_set_servers_ports(s->channel, v);
    free(v);
    return status;
}

struct nameserver *nameserver_open(const struct addr *servers, size_t count)
{
    static bool begun;
    if (!begun && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) return NULL;
    begun = true;
    struct nameserver *s = base_zalloc(1, sizeof *s);
    s->timer.fire = fire;
    s->search = count == 0;
    struct ares_options o = { .flags = ARES_FLAG_NOALIASES | (count ? ARES_FLAG_NOSEARCH : 0) | (count == 1 ? ARES_FLAG_NOCHECKRESP : 0), .timeout = TRY_MS, .tries = TRIES, .sock_state_cb = want, .sock_state_cb_data = s };
    int status = ares_init_options(&s->channel, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | (count ? ARES_OPT_ROTATE : 0));
    if (status != ARES_SUCCESS) {
        log_at(log_main, L_ERR, NULL, 0, "names cannot be looked up: %s", ares_strerror(status));
        free(s);
        return NULL;
    }
    if (count && (status = set_servers(s, servers, count)) != ARES_SUCCESS) {
        log_at(log_main, L_ERR, NULL, 0, "names cannot be looked up: %s", ares_strerror(status));
        nameserver_close(&s);
    }
    return s;
}

void nameserver_close(struct nameserver **server)
{
    struct nameserver *s = *server;
    *server = NULL;
    if (!s) return;
    ares_destroy(s->channel);
    ASSERT(s->load == 0);
    while (s->ports) drop_port(&s->ports);
    timer_end(&s->timer);
    free(s);
}

#else

bool nameserver_is_built(void) { return false; }
unsigned nameserver_load(const struct nameserver *s) { (void) s; return 0; }

struct nameserver *nameserver_open(const struct addr *servers, size_t count)
{
    (void) servers;
    (void) count;
    return NULL;
}

void nameserver_close(struct nameserver **s) { *s = NULL; }

void nameserver_ask(struct nameserver *s, const char *name, enum dns_type type, void (*told)(void *arg, enum lookup_end how, struct text message), void *arg)
{
    (void) s;
    (void) name;
    (void) type;
    told(arg, LOOKUP_UNBUILT, text_of(NULL, 0));
}

bool nameserver_hosts(struct nameserver *s, const char *name, sa_family_t family, struct addr *out)
{
    (void) s;
    (void) name;
    (void) family;
    (void) out;
    return false;
}

#endif
