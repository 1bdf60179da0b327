/*
 * http: from a connection's bytes to a response.
 *
 * Glossary
 *   vhost      a server block.            location   a location block (also an "if" or "limit_except" in one).
 *   protocol   what a request asks of its connection; h1 and h2 implement it. A request does not know which it is.
 *   request    one request; owned by its connection (h1) or stream (h2), a subrequest by its parent.
 *   step       where a request is: named objects in one list (steps.c), nginx's phases in nginx's order.
 *   hook       a module's handler in a step.
 *   response   status, fields, and how the body moves: response.h. filter: something a response passes through.
 *   exchange   one request with one upstream: gateway. Owned by the request.
 *   parked     what stays of a request whose tunnel goes on: park.h.
 *   fetch      a request of our own to some server, for ourselves: fetch.h. Stands beside all of the above.
 *
 * Ownership: conn > (h1 | stream) > request > exchange. request_close is the only end of a request, may be called twice.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/chain.h"
#include "eval/eval.h"
#include "event/event.h"
#include "http/verdict.h"
#include "wire/field.h"
#include "wire/method.h"

#define REQUEST_MAGIC 0x52455131u

struct request_original; struct subrequest; struct postpone; struct vhost; struct location; struct proxied; struct request; struct filter_at;

/* Fields in the order they came or go; id tells the known ones. */
struct fields { struct field *v; unsigned n, cap; };
void          fields_grow(struct fields *f, struct pool *p);                      /* room for one more */
static inline struct field *fields_add(struct fields *f, struct pool *p, enum field_id id, struct text name, struct text value)
{
    if (unlikely(f->n == f->cap)) fields_grow(f, p);
    struct field *at = &f->v[f->n++];
    *at = (struct field) { .name = name, .value = value, .id = id };
    return at;
}
struct field *fields_find(const struct fields *f, enum field_id id);              /* the first, or NULL */
struct field *fields_find_name(const struct fields *f, struct text name);         /* any case */
void          fields_remove(struct fields *f, enum field_id id);                  /* all of them */

/* What a request asks of its connection. Every function may end the connection, but never frees the request under its caller. */
struct protocol {
    const char *name;                                     /* "HTTP/1.1" */
    void   (*head)(struct request *r);                    /* r->out is complete: queue it (not yet sent) */
    void   (*informational)(struct request *r, int status, const struct fields *f);   /* 1xx, at once */
    void   (*body)(struct request *r, struct chain *in, enum body_end end);   /* takes all links, frames them, writes what the socket takes */
    size_t (*room)(struct request *r);                    /* bytes it takes gladly now; 0: wait; response_more is called when there is room again */
    void   (*want_body)(struct request *r);               /* the request body's reader has room again */
    void   (*ended)(struct request *r, const char *why);  /* from request_close: next request, or end of the connection */
    /* The connection, when what is next on it are bytes of a body of known length as they are and nothing waits before them; else
     * NULL. Whoever writes to it says how many went, and that it takes no more for now. Either may be NULL. */
    struct conn *(*straight)(struct request *r);
    void   (*went)(struct request *r, size_t n, bool blocked);
    /* Takes the connection over for raw bytes both ways (101, CONNECT), when the head was sent; NULL: cannot. The bytes already read
     * are in *early_out. From then on conn's handler is the caller's; request_close still ends all. */
    struct conn *(*tunnel)(struct request *r, struct chain *early_out);
    /* After tunnel: the stream's request is r from now on, or none for a while (park.h). NULL: cannot. */
    void   (*swap)(void *stream, struct request *r);
    /* For who is about to lead r where it asks: v_next: the target is known; v_wait: it is still to be said (SOCKS), request_resume is
     * called. NULL: it always is. */
    struct verdict (*target)(struct request *r);
    /* Where a client was going that netfilter led here; NULL, or that gives NULL: it came to us. */
    const struct request_original *(*original)(const struct request *r);
};

/* What such a client speaks: HTTP; TLS, with a client hello that was read; on a port where nobody looks; nothing that we know. */
enum request_said { REQUEST_SAID_HTTP, REQUEST_SAID_TLS, REQUEST_SAID_OPAQUE, REQUEST_SAID_UNKNOWN };
struct request_original { struct addr addr; enum request_said said; };

/* Who makes a response's body: asked for more when the sink has room again. */
struct source { void (*more)(struct request *r, void *arg); void *arg; };

struct response {
    int           status;
    struct text   reason;              /* of an upstream's status line; empty: the usual words */
    struct fields fields;              /* all but those below */
    struct fields trailers;
    int64_t       length;              /* of the body; -1: not known */
    struct text   type;                /* Content-Type without charset */
    struct text   charset;
    struct text   wanted_charset;      /* X-Accel-Charset: what the charset directive would say; empty: it says it itself */
    time_t        modified;            /* Last-Modified; -1: none */
    struct text   etag;                /* with its quotes; empty: none */
    struct text   location;            /* of redirects, as to be made absolute; empty: none */
    bool          location_made;       /* location was made absolute here: it stands where nginx puts it then */
    bool          head_sent;           /* handed to the protocol */
    bool          no_body;             /* HEAD, 204, 304: nothing may follow the head */
    bool          accept_ranges;       /* ranges may be cut from this body */
    bool          single_range;        /* but not more than one: it is not there to go back in */
    bool          unconditional;       /* If-None-Match and its like were somebody else's to judge: an upstream's */
    bool          has_date, has_server, has_modified;   /* fields has its own (modified says when, too) */
    bool          expect_trailers;     /* trailers may be added until the body ends: where the protocol needs another framing for them, it takes it */
    bool          ended;               /* FINAL or BROKEN was given */
    uint64_t      body_bytes;          /* before framing: given to the protocol */
    uint32_t      head_bytes;          /* of the head on the wire, 1xx not counted: the protocol says it, for $body_bytes_sent */
    bool          complete;            /* the last byte was handed to the kernel: the protocol says it, for $request_completion */
};

/* The request's own body: reqbody.h */
struct reqbody;

/* What a request asks of its exchange; set with r->exchange, by gateway. */
struct exchange_ops {
    void (*end)(struct request *r);                          /* from request_close (and before an internal redirect away): lets go of the upstream.
                                                                r->exchange stays readable for the log. Twice is fine. */
    void (*describe)(struct request *r, struct build *b);    /* for log lines, between request and host: ', upstream: "http://…"' */
    bool (*client_left)(struct request *r);                  /* the client closed. True: the exchange goes on (proxy_ignore_client_abort): the request
                                                                stays, what the client does not take of its response is dropped. False: close it (499) */
};

/* How the target was written: RFC 9112 3.2. */
enum request_form { REQUEST_ORIGIN, REQUEST_ABSOLUTE, REQUEST_AUTHORITY };

struct request {
    unsigned               magic;
    bool                   internal,       /* by redirect or subrequest: "internal" locations are open */
                           keepalive,      /* the client wants and may go on */
                           resumable,      /* a handler waits: request_resume goes on */
                           running,        /* request_run is on the stack */
                           uri_changed,    /* rewrite: find the location anew */
                           has_args, quoted_uri, plus_in_uri, complex_uri,
                           valid_target,   /* target still says what uri and args say: neither was changed */
                           valid_location, /* uri still fits the location: an alias may be used */
                           add_uri_to_alias,
                           closing, resumed, granted,
                           head_only,      /* a subrequest of which only the head counts */
                           error_page_done, expect_tested,
                           forward;        /* it is asked of us as of a proxy: refusals of credentials are 407 (credentials.h) */
    uint8_t                form;           /* enum request_form */
    uint8_t                uri_changes;    /* left, of 10 */
    uint8_t                subrequests;    /* depth left */
    uint8_t                limit_req_status, limit_conn_status;   /* what those modules decided, once a request; of the main one */
    int                    access_status;  /* satisfy any: what was refused so far */
    int                    refused;        /* response_refuse's */
    const struct step     *step;
    unsigned               hook;           /* which handler of the step comes next */
    struct pool           *pool;
    struct eval            eval;
    const struct protocol *proto;
    void                  *stream;         /* h1 connection or h2 stream: the protocol's */
    struct conn           *conn;
    const struct addr     *peer;           /* whom it is from: the connection's, or as realip found it in the request */
    const struct proxied  *proxied;        /* the PROXY header of its connection, or NULL: proxied.h */
    struct request        *main, *parent;  /* main == this: not a subrequest */
    struct subrequest     *subs;           /* its subrequests: subrequest.h */
    unsigned               sub_count;      /* main: all there are now, those of subrequests too */
    struct postpone       *postpone;       /* what their responses wait in, or NULL */
    struct vhost          *vhost;
    struct location       *location;
    void                 **values;         /* the modules' values in force here (location's, or of an "if") */
    const struct log      *log;            /* error_log in force */
    struct log_about      *about;

    /* what was asked */
    struct text            line;           /* request line, as it came */
    enum method            method;
    struct text            method_name;
    unsigned               version;        /* 9, 1000, 1001, 2000; 5: SOCKS */
    struct text            target;         /* $request_uri: as it came */
    struct text            asked_scheme;   /* of a target in absolute form, as it came; else empty */
    struct text            uri;            /* decoded and normalised */
    struct text            args;           /* has_args: there was a "?" */
    struct text            exten;
    struct text            host;           /* from the target or Host, lower case, no port; empty: none */
    uint16_t               host_port;      /* 0: none given */
    struct fields          in;
    struct fields          in_trailers;
    uint16_t               in_at[FIELD_COUNT];   /* 1 + place of the first field of that id among the first 65535, 0: none */
    int64_t                in_length;      /* Content-Length; -1: none */
    bool                   in_chunked;
    uint64_t               in_bytes;       /* $request_length */
    uint64_t               started_ms;     /* monotonic */
    uint64_t               started_wall_ms;
    struct reqbody        *body;

    /* what is answered */
    struct response        out;
    struct source          source;
    struct filter_at      *filters;        /* those that apply to this response, in order */
    unsigned               filter_count;
    int                    err_status;     /* status of the error page in hand, else 0 */
    struct text            user;           /* authenticated; empty: none */
    uint64_t               sent_at_start;  /* conn->sent when it began */
    uint64_t               limit_rate;     /* bytes a second, by $limit_rate or X-Accel-Limit-Rate; limit_rate_set: this, and not the directive, counts */
    bool                   limit_rate_set;
    uint32_t               number;         /* among the requests of its connection, from 1: the protocol says it */
    bool                   pipelined;      /* it began in bytes read with the request before it: the protocol says it */

    void                  *exchange;       /* gateway's, or NULL */
    const struct exchange_ops *exchange_ops;
    struct at_close       *at_close;
    void                 **contexts;       /* one pointer a module slot, made when first used: request_context */
};

/* The request of an eval of kind EVAL_HTTP. */
#define request_of(e) container_of((e), struct request, eval)
/* This module's values in force for r: (struct proxy_conf *) request_values(r, &proxy_module) */
#define request_values(r, m) ((r)->values[(m)->slot])
static inline const struct request_original *request_original(const struct request *r) { return r->proto->original ? r->proto->original(r) : NULL; }
/* A module's own pointer for this request (NULL at first; cleared by internal redirects). */
void **request_context(struct request *r, const struct module *m);

static inline struct field *request_field(const struct request *r, enum field_id id) { return r->in_at[id] ? &r->in.v[r->in_at[id] - 1] : NULL; }
static inline struct text request_value(const struct request *r, enum field_id id) { return r->in_at[id] ? r->in.v[r->in_at[id] - 1].value : (struct text) { NULL, 0 }; }

/* A new request, on a connection, of the address's default server as long as nothing else is known; its fields are then
 * filled by the protocol. Never NULL. */
struct request *request_open(struct conn *c, const struct protocol *proto, void *stream, struct vhost *v);
/* The same for a subrequest, in this pool, which ends with it. */
struct request *request_open_within(struct request *parent, struct pool *pool, const struct protocol *proto, void *stream);
/* Where the request goes, as it was asked for. */
struct uri;
void request_take_uri(struct request *r, const struct uri *u);
/* One more field of its head. */
static inline void request_take_field(struct request *r, const struct field *f)
{
    if (unlikely(r->in.n == r->in.cap)) fields_grow(&r->in, r->pool);
    r->in.v[r->in.n++] = *f;
    if (f->id != FIELD_OTHER && !r->in_at[f->id] && r->in.n <= UINT16_MAX) r->in_at[f->id] = (uint16_t) r->in.n;
}
/* The server that its host belongs to: changes vhost, location and values. */
void request_set_vhost(struct request *r, struct vhost *v);
/* The head is complete and sane: runs the steps until it waits or is over. */
void request_run(struct request *r);
/* From whoever the handler waited for. Runs on at the same handler. Harmless when r does not wait. */
void request_resume(struct request *r);
/* The only end. Runs the log step, what request_at_close was given (last first), ends the body, tells the protocol; frees at
 * the end of the turn. why: a reason for the debug log ("done", "client closed", "timeout"). *r is NULL after. Twice is
 * fine. Nobody but protocols (and parents of subrequests) calls it: a source that is through says FINAL or BROKEN, and the
 * protocol closes the request later in the same turn, when no source is on the stack. */
void request_close(struct request **r, const char *why);
/* The end of a closed request's memory, for loop_free_later. */
void request_free(void *r);
/* For log lines: client, server, request … */
void request_describe(struct build *b, const struct request *r);
/* fn(r, arg) when r is closed: for who holds something that must go at once (an upstream connection). */
void request_at_close(struct request *r, void (*fn)(struct request *r, void *arg), void *arg);
/* Forgets that again. */
void request_at_close_cancel(struct request *r, void (*fn)(struct request *r, void *arg), void *arg);
/* Status for logs: of the error page in hand, else of the response; 0: nothing was answered. */
int  request_status(const struct request *r);
/* Answers with status through error pages, from outside a step (timeouts, upstream failures). Head not sent yet: a
 * page (444, 408, 499: nothing, the connection ends); sent: the response is broken off. */
void request_fail(struct request *r, int status);
/* "try another uri" (nginx's internal redirect): sets uri and args, and gives the step to go to; v_reply(500) when redirected
 * too often. From outside a step: request_go(r, request_redirect(…)). */
struct verdict request_redirect(struct request *r, struct text uri, struct text args);
struct verdict request_redirect_named(struct request *r, struct text name);
/* Goes on with this verdict, from outside a step, after a handler said v_over or v_wait and nothing was sent yet. */
void request_go(struct request *r, struct verdict v);
/* r->exten from r->uri, after uri was changed. */
void request_set_exten(struct request *r);

/* steps, in order; modules name them in their hooks. */
extern const struct step step_post_read, step_server_rewrite, step_find_location, step_rewrite, step_post_rewrite, step_preaccess, step_access,
    step_post_access, step_precontent, step_content, step_log;

#endif
