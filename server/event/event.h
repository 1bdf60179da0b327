/*
 * event: one loop per worker.
 *
 * Glossary
 *   loop    one turn: poll, clock, handlers, timers that are due, wakes and posted tasks, then what was ended is freed.
 *   conn    a connected socket: registered once, edge-triggered, for reading and writing. Has one owner and one handler.
 *   timer   a deadline. Moving it later costs a store; it is put right when its old time comes.
 *   task    something to run at the end of this turn.
 *   listener  a listening socket of this worker, its handler is given each new conn.
 *
 * The loop is per process (one worker, one thread): functions take no loop argument.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include "base/chain.h"
#include "base/clock.h"
#include "base/log.h"
#include "os/addr.h"
#include <signal.h>

/* ---- timers ---- */

struct timer {
    uint64_t due;          /* clock_now.ms when it fires; 0: not set */
    uint32_t index;        /* private: its place in the heap; 0: not in it */
    void   (*fire)(struct timer *t);   /* container_of tells whose */
};
/* Fires once, at least ms (and at least 1) from clock_now. Setting anew replaces. */
void timer_set(struct timer *t, uint64_t ms);
/* Will not fire. Cheap: the heap forgets it later, so timer_end comes before the memory goes. */
static inline void timer_stop(struct timer *t) { t->due = 0; }
static inline bool timer_is_set(const struct timer *t) { return t->due != 0; }
/* Out of the heap at once. */
void timer_end(struct timer *t);

/* ---- tasks ---- */

struct task { struct task *next, *prev; void (*run)(struct task *t); };   /* next and prev are private; zero: not posted */
/* Runs once at the end of this turn; posting twice is once. A task posted by a task runs in the next turn. */
void task_post(struct task *t);
void task_cancel(struct task *t);
static inline bool task_is_posted(const struct task *t) { return t->next != NULL; }
/* free(p) by fn at the very end of this turn, when no handler is on the stack. */
void loop_free_later(void (*fn)(void *p), void *p);

/* ---- loop ---- */

bool loop_open(unsigned max_conns);   /* epoll; false after a log line */
void loop_close(void);
/* One turn: waits at most until the next timer, most_ms (-1: for ever) or an event. */
void loop_turn(int most_ms);
/* A turn that takes longer is logged at warn; 0 (at first): none is. */
extern uint64_t loop_stall_ms;
/* Called after each poll returns, before handlers; signals to flags are looked at by the process layer here. */
extern void (*loop_after_poll)(void);
/* Signals are let through while polling only when this is set (epoll_pwait's mask), so that one that comes between a look at
 * the flags and the poll is not slept over. NULL: the mask stays as it is. */
extern const sigset_t *loop_signals;

/* ---- watch: any other descriptor (eventfd, pipe, listening socket), level-triggered ---- */

struct watch { int fd; void (*ready)(struct watch *w, uint32_t events); };
bool watch_add(struct watch *w, uint32_t events);      /* EPOLLIN … ; false after a log line */
/* fd stays open; no more calls, not even for events polled before it, so w may end now. */
void watch_remove(struct watch *w);

/* ---- conn ---- */

#define CONN_MAGIC 0x434f4e4eu

enum { CONN_READ = 1, CONN_WRITE = 2, CONN_TIMEOUT = 4 };   /* what the handler is told */

enum io { IO_OK, IO_AGAIN, IO_EOF, IO_ERROR };              /* IO_ERROR: conn->error is the errno */
struct io_done { enum io how; size_t n; };

/* CONN_IDLE: holds nothing, may be closed when connections run short. CONN_CUT: told by conn_cut_all. */
enum conn_place { CONN_BUSY, CONN_IDLE, CONN_CUT };

struct conn;
struct conn_ops {                       /* how bytes move: plain sockets here, TLS in its layer */
    const char      *name;
    struct io_done (*recv)(struct conn *c, char *room, size_t size);
    /* Sends what it can of the chain's first bytes (links are not changed); files too. */
    struct io_done (*send)(struct conn *c, const struct chain *out, size_t most);
    void           (*shutdown)(struct conn *c);   /* end of what we send */
    bool           (*is_quiet)(struct conn *c);   /* conn_is_quiet */
    void           (*flush)(struct conn *c);      /* at an edge for writing, before the owner is told; NULL: nothing is held back */
    void           (*end)(struct conn *c);        /* frees c->layer; the socket is closed after it */
};
extern const struct conn_ops conn_plain;

struct conn {
    unsigned               magic;
    int                    fd;           /* -1: closed, freed at the end of the turn */
    const struct conn_ops *ops;
    void                  *layer;        /* of ops (TLS session) */
    void                 (*ready)(struct conn *c, unsigned what);
    void                  *owner;
    struct timer           timer;        /* ready(CONN_TIMEOUT) */
    const struct log      *log;
    struct log_about       about;        /* about.number is the connection's number */
    struct addr            peer;         /* of the other side */
    struct addr            local;        /* AF_UNSPEC until conn_local asks the kernel */
    struct listener       *listener;     /* it came by, or NULL */
    uint64_t               started_ms;   /* monotonic */
    uint64_t               sent, received;   /* bytes, as the ops count them: the owner's, over TLS since the handshake */
    struct conn           *prev, *next;  /* private: the list of its place, most recent first */
    uint32_t               read_size,    /* files are read this much at a time and sent as memory; 0: by sendfile */
                           read_most;    /* … and this much for one call */
    int                    error;        /* errno of the last IO_ERROR */
    unsigned               readable : 1, /* reading may find something: cleared by a short read or EAGAIN */
                           wire : 1,     /* for layers: the socket itself may have something; readable also says what they hold */
                           writable : 1, /* cleared by a short write or EAGAIN */
                           hangup : 1,   /* the kernel said EPOLLRDHUP, HUP or ERR */
                           timedout : 1, /* told to make room, or cut: close */
                           nodelay : 1,  /* TCP_NODELAY is on */
                           connecting : 1,
                           refused : 1,  /* private: connecting may have failed */
                           place : 2,    /* enum conn_place */
                           wake : 3;     /* private: what conn_wake will tell */
};

/* Takes over fd (non-blocking), registers it. ready and owner are set by the caller, before the turn ends. readable is not
 * set: what is there already is told by ready(CONN_READ). NULL (fd closed, line logged) when the worker's connections are
 * used up, in spite of conn_make_room. */
struct conn *conn_open(int fd, const struct log *log);
/* When few places are left, tells the connections idle longest to close. False: none is free. */
bool conn_make_room(void);
/* Tells the connection that is idle longest to close (CONN_TIMEOUT, timedout set). False: none is idle. */
bool conn_reap(void);
/* What a socket is to be before it connects. from: its own address, NULL: the kernel's choice; transparent: IP_TRANSPARENT, for from;
 * sizes of its buffers, 0: the system's. */
struct conn_start { const struct addr *from; bool transparent; int sndbuf, rcvbuf; };
/* Starts connecting; ready(CONN_WRITE) when done: then conn_connected gives 0 or the errno. how may be NULL.
 * NULL: *error_out (EMFILE when connections are used up). Connected at once is told the same way, in the next turn. */
struct conn *conn_connect(const struct addr *to, const struct conn_start *how, const struct log *log, int *error_out);
/* 0: connected. EINPROGRESS: not known yet. */
int  conn_connected(struct conn *c);
/* Closes the socket now, frees at the end of the turn; *c is NULL after it. NULL is fine. */
void conn_close(struct conn **c);
/* As conn_close, with a reset (SO_LINGER 0). */
void conn_reset(struct conn **c);

/* One recv. Clears readable when the kernel has no more for now (short read: no second call). Read while c->readable, or
 * call conn_wake when you stop before it is cleared: there is no second edge for the same bytes. */
static inline struct io_done conn_recv(struct conn *c, char *room, size_t size) { return c->ops->recv(c, room, size); }
/* Sends from the front of out until it is empty, the kernel refuses, or most bytes (0: all) went; sent links are dropped.
 * One gathered call for a run of memory links, sendfile for files (but for read_size). IO_OK: nothing is left (or most reached);
 * IO_AGAIN: told by ready(CONN_WRITE) when more goes; until then what is at the front of out must stay there (a layer may
 * have made it into a record already). n: bytes sent now. */
struct io_done conn_send(struct conn *c, struct chain *out, size_t most);
void conn_shutdown(struct conn *c);
/* Peeks whether an idle connection was closed or has bytes waiting (one recv with MSG_PEEK). */
bool conn_is_quiet(struct conn *c);
/* What a plain connection's next bytes are, at most size of them: they stay where they are, and c->readable is as it was. */
struct io_done conn_peek(struct conn *c, char *room, size_t size);
const struct addr *conn_local(struct conn *c);
/* Where the client of an accepted connection was going: as netfilter remembers it (REDIRECT, DNAT), or the connection's own address
 * (TPROXY, or nothing led it here). */
struct addr conn_original(struct conn *c);
/* TCP_NODELAY, once: no call when it is so already or the socket is not TCP. Accepted connections have it on from birth. */
void conn_set_nodelay(struct conn *c, bool on);
/* The handler is called at the end of this turn with what as given: for owners that stopped reading before the
 * socket was drained, since an edge does not come again. */
void conn_wake(struct conn *c, unsigned what);

/* Idle connections (keep-alive, holding no request) stand in a list; when connections run short the one idle longest
 * is told CONN_TIMEOUT with c->timedout and must close. That may happen while another connection's handler runs. */
void conn_set_idle(struct conn *c, bool idle);
/* Tells all accepted connections to end now (CONN_TIMEOUT, timedout set, place is CONN_CUT): they have this turn and the next. */
void conn_cut_all(void);

struct conn_figures { unsigned open, idle, most; uint64_t accepted, handled; };
extern struct conn_figures conn_figures;

/* ---- listening sockets of this worker ---- */

#define LISTENER_MAGIC 0x4c49534eu
struct listener {
    unsigned         magic;
    struct addr      addr;
    struct text      name;               /* as printed: "0.0.0.0:80" */
    int              backlog;            /* nginx's default 511 */
    int              rcvbuf, sndbuf;     /* 0: the system's */
    int              fastopen;           /* -1: off */
    int              ipv6only;           /* 1, 0 */
    int              keepalive;          /* so_keepalive: -1 unset, 0 off, 1 on */
    int              keepidle, keepintvl, keepcnt;
    bool             deferred, reuseport, bind, proxy_protocol, multipath, transparent;
    int              type;               /* SOCK_STREAM, SOCK_DGRAM */
    int             *fds;                /* one a worker slot (one in all for unix sockets); opened by os/process */
    size_t           fd_count;
    /* A new connection; its owner and ready are set by this call. */
    void           (*accepted)(struct conn *c);
    void            *owner;              /* http's address group, stream's server … */
    const struct log *log;
    struct listener *next;
    struct watch     watch;              /* the fd of this worker */
    struct watch    *surplus;            /* sockets of workers that are no more, to be drained */
    struct listener *paused_next;        /* private */
    bool             accepting, multi, paused;   /* private */
};
/* In a worker: begins accepting on fd. Accepts several a turn when multi. Stops by itself while connections run short
 * (accept4 fails with EMFILE, or no conn is free) and begins again when some were closed. False after a log line. */
bool accept_start(struct listener *l, int fd, bool multi);
void accept_stop(struct listener *l);
/* Accepts at most most waiting connections from fd for l: for surplus sockets. True: there may be more; false: none is
 * waiting, or none can be taken now. */
bool accept_take(struct listener *l, int fd, unsigned most);

#endif
