#include "tls/vault.h"
#include "os/fiber.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* One question; on the stack of the fiber that waits for it. */
struct question {
    struct question          *next;
    struct conn              *conn;
    void                    (*resume)(struct conn *c);
    const struct key_request *ask;
    const void               *bytes;
    unsigned char            *out;
    size_t                    size;
    int                       n;                    /* the answer */
    const char               *why;                  /* there is none */
    bool                      done, sent, again;    /* again: asked a second time */
    uint64_t                  due_ms;
};

static struct question *first, **last = &first;     /* oldest first */
static unsigned count;
static uint64_t numbers;
static struct conn *acting;
static void (*acting_resume)(struct conn *c);
static const char *fault;
static int line = -1;

void keyline_begin(struct conn *c, void (*resume)(struct conn *c))
{
    acting = c;
    acting_resume = resume;
    fault = NULL;
}

const char *keyline_fault(void)
{
    const char *was = fault;
    fault = NULL;
    return was;
}

/* ---- to the keeper ---- */

static bool send_one(struct question *q)
{
    struct iovec parts[] = { { (void *) (uintptr_t) q->ask, sizeof(*q->ask) }, { (void *) (uintptr_t) q->bytes, (size_t) q->ask->n } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = countof(parts) };
    ssize_t n;
    do n = sendmsg(line, &m, MSG_NOSIGNAL | MSG_DONTWAIT); while (n < 0 && errno == EINTR);
    q->sent = n > 0;
    return q->sent;
}

/* When the line is full, answers are on their way: the rest goes with them. */
static void send_rest(void)
{
    for (struct question *q = first; q; q = q->next)
        if (!q->sent && !q->done && !send_one(q)) return;
}

/* ---- waiting ---- */

static void fire(struct timer *t);
static struct timer watchdog = { .fire = fire };

static void add(struct question *q)
{
    *last = q;
    last = &q->next;
    count++;
    if (!timer_is_set(&watchdog)) timer_set(&watchdog, KEY_WAIT_MS);
}

static void take_out(struct question *q)
{
    struct question **at = &first;
    while (*at != q) at = &(*at)->next;
    *at = q->next;
    if (last == &q->next) last = at;
    count--;
    if (!first && timer_is_set(&watchdog)) timer_stop(&watchdog);
}

static void settle(struct question *q, int n)
{
    q->n = n;
    q->done = true;
    q->resume(q->conn);       /* q is no more */
}

static void fire(struct timer *t)
{
    for (struct question *q = first; q;) {
        if (q->done || q->due_ms > clock_now.ms) {
            q = q->next;
            continue;
        }
        q->why = "the key process does not answer";
        settle(q, -1);
        q = first;
    }
    if (first) timer_set(t, first->due_ms > clock_now.ms ? first->due_ms - clock_now.ms : 1);
}

int keyline_ask(struct key_request *r, const void *bytes, unsigned char *out, size_t size)
{
    if (line < 0 || !acting || !fiber_is_inside()) fault = "there is no key process";
    else if (count >= KEY_PENDING_MOST) fault = "the key process has too much to do";
    if (fault) return -1;
    r->number = ++numbers;
    struct question q = { .conn = acting, .resume = acting_resume, .ask = r, .bytes = bytes, .out = out, .size = size, .due_ms = clock_now.ms + KEY_WAIT_MS };
    add(&q);
    send_one(&q);
    while (!q.done) fiber_wait();
    take_out(&q);
    if (q.n < 0) fault = q.why ? q.why : "the key process could not do it";
    return q.n;
}

void keyline_abandon(struct conn *c)
{
    struct question *q = first;
    while (q && q->conn != c) q = q->next;
    if (!q) return;
    q->n = -1;
    q->done = true;
}

/* ---- from the keeper ---- */

/* Another keeper began: what the one before has not answered is asked once more, and no more than that. */
static void ask_again(void)
{
    for (struct question *q = first; q; q = q->next) {
        if (q->done || !q->sent || q->again) continue;
        q->again = true;
        q->sent = false;
    }
    send_rest();
}

static void take_answer(const struct key_answer *a, const unsigned char *bytes, size_t n)
{
    struct question *q = first;
    while (q && q->ask->number != a->number) q = q->next;
    if (!q || q->done) return;
    bool fits = a->n >= 0 && (size_t) a->n <= n && (size_t) a->n <= q->size;
    if (fits) memcpy(q->out, bytes, (size_t) a->n);
    settle(q, fits ? a->n : -1);
}

static void hear(struct watch *w, uint32_t events)
{
    static struct { struct key_answer head; unsigned char bytes[4096]; } room;
    (void) events;
    for (;;) {
        ssize_t n = recv(w->fd, &room, sizeof(room), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) {                /* the master is gone, and with it who starts keepers */
            watch_remove(w);
            close(line);
            line = -1;
            break;
        }
        if ((size_t) n < sizeof(room.head)) ask_again();
        else take_answer(&room.head, room.bytes, (size_t) n - sizeof(room.head));
        OPENSSL_cleanse(&room, (size_t) n);      /* it may be the secret of a session */
    }
    send_rest();
}

bool keyline_is_open(void) { return line >= 0; }

bool keyline_open(int fd)
{
    static struct watch watch;
    line = fd;
    watch = (struct watch) { .fd = fd, .ready = hear };
    return watch_add(&watch, EPOLLIN);
}
