/*
 * conf: what proxy_*, fastcgi_*, scgi_*, uwsgi_* … have in common: one struct, one set of rows (GATEWAY_ROWS), given a prefix.
 * A module's own struct holds a struct gateway_conf and its rows begin with GATEWAY_ROWS; its check calls gateway_conf_check.
 */
#ifndef GATEWAY_CONF_H
#define GATEWAY_CONF_H

#include "eval/template.h"
#include "http/temp.h"
#include "os/addr.h"
#include "wire/field.h"

/* When another peer is asked (…_next_upstream). NEXT_OFF stands for the word alone. */
enum {
    NEXT_ERROR = 1 << 0, NEXT_TIMEOUT = 1 << 1, NEXT_INVALID_HEADER = 1 << 2, NEXT_500 = 1 << 3, NEXT_502 = 1 << 4, NEXT_503 = 1 << 5,
    NEXT_504 = 1 << 6, NEXT_403 = 1 << 7, NEXT_404 = 1 << 8, NEXT_429 = 1 << 9, NEXT_NON_IDEMPOTENT = 1 << 10, NEXT_UPDATING = 1 << 11, NEXT_DENIED = 1 << 12,
    NEXT_OFF = 1 << 30,
};

/* …_ignore_headers */
enum { IGNORE_ACCEL_REDIRECT = 1, IGNORE_ACCEL_EXPIRES = 2, IGNORE_ACCEL_LIMIT_RATE = 4, IGNORE_ACCEL_BUFFERING = 8, IGNORE_ACCEL_CHARSET = 16,
       IGNORE_EXPIRES = 32, IGNORE_CACHE_CONTROL = 64, IGNORE_SET_COOKIE = 128, IGNORE_VARY = 256 };

/* One address, or one of each family: who is asked decides which. */
struct gateway_bind { struct addr addrs[2]; struct template *dynamic; bool transparent, off; };

/* …_store: a copy of an answer of 200 becomes a file, of the uri's place under root or alias, or where path says. */
struct gateway_store { bool on; struct template *path; };

/* Which fields of the upstream's answer are kept from the client: the default ones, less the pass list, and the hide list. */
struct gateway_hidden { uint64_t known[(FIELD_COUNT + 63) / 64]; struct text *others; size_t count; };

/* …_next_upstream_backoff: before the nth other try, a random part of base doubled n - 1 times, at most most. 0: no wait. */
struct gateway_backoff { uint64_t base_ms, most_ms; };
/* …_next_upstream_budget: retries are at most percent of the requests of the last seconds, and least more each second. */
struct gateway_budget { bool on; uint32_t percent, least; };

/* …_hedge: another peer is asked as well when there was no answer for after; or for as long as so many percent of answers take, and
 * after at least. */
struct gateway_hedge { bool on; uint32_t percentile; uint64_t after_ms; };

struct preface_conf;

struct gateway_conf {
    span                  connect_timeout, send_timeout, read_timeout;
    unsigned              next_upstream;
    int64_t               next_tries;
    span                  next_timeout, try_timeout, deadline;
    struct gateway_backoff backoff;
    struct gateway_budget budget;
    struct gateway_hedge  hedge;
    struct templates      allow;
    flag                  bind_dynamic, request_dynamic;
    bool                  dynamic;       /* made by check: any of allow, bind_dynamic, request_dynamic */
    bool                  timed;         /* made by check: any of try_timeout, deadline, backoff */
    flag                  buffering, request_buffering, pass_headers, pass_body, pass_trailers, pass_request_trailers;
    flag                  intercept_errors, ignore_client_abort, socket_keepalive, force_ranges;
    unsigned              ignore_headers;
    bytes                 buffer_size, busy_buffers_size, max_temp_file_size, temp_file_write_size;
    bufs                  buffers;
    bytes                 socket_sndbuf, socket_rcvbuf;
    struct temp_path      temp_path;
    struct template      *limit_rate;    /* NULL: none */
    struct gateway_store  store;
    mode_t                store_access;
    struct gateway_bind  *bind;
    struct preface_conf  *preface;       /* what is said before the first byte: preface.h; NULL: nothing */
    struct conf_texts     hide, pass;
    struct gateway_hidden *hidden;       /* made by check */
};

extern const struct conf_type gateway_bind_type, gateway_store_type, gateway_rate_type, gateway_backoff_type, gateway_budget_type, gateway_hedge_type;
extern const struct conf_choice gateway_next_choices[], gateway_next_cgi[], gateway_next_memcached[], gateway_ignore_choices[];

/* A size that nginx's rules on it are held to, and that does nothing else: says so once. */
extern const struct conf_type gateway_checked_size;

/* Of every protocol. NEXT: the words of its next_upstream. */
#define GATEWAY_PEER_ROWS(S, g, P, NEXT) \
    D_TIME(S, g.connect_timeout, P "connect_timeout", IN_HSL, "60s", "How long connecting to a peer may take."), \
    D_TIME(S, g.send_timeout, P "send_timeout", IN_HSL, "60s", "How long the peer may take nothing of the request before it is given up."), \
    D_TIME(S, g.read_timeout, P "read_timeout", IN_HSL, "60s", "How long the peer may send nothing of its answer before it is given up."), \
    D_BITS(S, g.next_upstream, P "next_upstream", IN_HSL, "error timeout", NEXT, "When the request is passed on to another peer."), \
    D_NUM(S, g.next_tries, P "next_upstream_tries", IN_HSL, "0", "How many peers may be tried for a request; 0: all."), \
    D_TIME(S, g.next_timeout, P "next_upstream_timeout", IN_HSL, "0", "For how long a request may be passed to yet another peer; 0: no limit."), \
    { .name = P "next_upstream_try_timeout", .type = &conf_span, .where = IN_HSL, .offset = FIELD(S, g.try_timeout, span), .dflt = "0", .since = "weir", \
      .help = "How long a try may take until the head of its answer is there; 0: no limit." }, \
    { .name = P "next_upstream_backoff", .type = &gateway_backoff_type, .where = IN_HSL, .offset = FIELD(S, g.backoff, struct gateway_backoff), .dflt = "off", .since = "weir", \
      .help = "How long is waited before another peer is asked: a random part of the time, which doubles with each try." }, \
    { .name = P "next_upstream_budget", .type = &gateway_budget_type, .where = IN_HSL, .offset = FIELD(S, g.budget, struct gateway_budget), .dflt = "off", .since = "weir", \
      .help = "How many of the requests of the last ten seconds, in percent and over all workers, may be passed to another peer; min: so many a second always." }, \
    { .name = P "deadline", .type = &conf_span, .where = IN_HSL, .offset = FIELD(S, g.deadline, span), .dflt = "0", .since = "weir", \
      .help = "How long all tries together, with the answer's body, may take; 0: no limit." }, \
    D_FLAG(S, g.socket_keepalive, P "socket_keepalive", IN_HSL, "off", "Whether connections to peers have TCP keep-alive probes."), \
    D_SIZE(S, g.buffer_size, P "buffer_size", IN_HSL, "4k", "The most that the head of the peer's answer may take."), \
    D_TYPE(S, g.bind, struct gateway_bind *, &gateway_bind_type, P "bind", IN_HSL, NULL, "The local address of connections to peers."), \
    D_FLAG(S, g.bind_dynamic, P "bind_dynamic", IN_HSL, "off", "Whether the local address is found anew for each peer that is asked."), \
    D_TYPE(S, g.allow, struct templates, &conf_templates, P "allow_upstream", IN_HSL, NULL, "A peer is asked when all of these are neither empty nor 0.")

/* Of those whose answers have fields as HTTP has them. */
#define GATEWAY_FIELD_ROWS(S, g, P) \
    D_FLAG(S, g.request_dynamic, P "request_dynamic", IN_HSL, "off", "Whether the request is made anew for each peer that is asked."), \
    D_SIZE(S, g.socket_sndbuf, P "socket_sndbuf", IN_HSL, NULL, "The size of the send buffer of connections to peers."), \
    D_SIZE(S, g.socket_rcvbuf, P "socket_rcvbuf", IN_HSL, NULL, "The size of the receive buffer of connections to peers."), \
    D_FLAG(S, g.intercept_errors, P "intercept_errors", IN_HSL, "off", "Whether answers of 300 and above for which there is an error_page are replaced by it."), \
    D_BITS(S, g.ignore_headers, P "ignore_headers", IN_HSL, NULL, gateway_ignore_choices, "Fields of the peer's answer that are not acted upon."), \
    D_TYPE(S, g.hide, struct conf_texts, &conf_texts, P "hide_header", IN_HSL, NULL, "A field of the peer's answer that is not passed to the client."), \
    D_TYPE(S, g.pass, struct conf_texts, &conf_texts, P "pass_header", IN_HSL, NULL, "A field of the peer's answer that is passed to the client although it is hidden by default.")

/* Of protocols that may try a request twice at once (gateway_protocol.hedged). */
#define GATEWAY_HEDGE_ROW(S, g, P) \
    { .name = P "hedge", .type = &gateway_hedge_type, .where = IN_HSL, .offset = FIELD(S, g.hedge, struct gateway_hedge), .dflt = "off", .since = "weir", \
      .help = "A GET or HEAD that has no answer after the time, or the percentile (p95) of the group's recent times to the header and at least min (10ms), is sent to another server " \
              "as well; the first head wins. It counts as a try, and for the budget; not with sticky, nor for requests to upgrade." }

/* All there are. TEMP: the usual folder of temporary files. */
#define GATEWAY_ROWS(S, g, P, TEMP, NEXT) \
    GATEWAY_PEER_ROWS(S, g, P, NEXT), GATEWAY_FIELD_ROWS(S, g, P), \
    D_FLAG(S, g.buffering, P "buffering", IN_HSL, "on", "Whether the answer is taken from the peer as fast as it comes, also when the client is slow."), \
    D_FLAG(S, g.request_buffering, P "request_buffering", IN_HSL, "on", "Whether the whole request body is read before a peer is asked."), \
    D_FLAG(S, g.pass_headers, P "pass_request_headers", IN_HSL, "on", "Whether the client's header fields are passed to the peer."), \
    D_FLAG(S, g.pass_body, P "pass_request_body", IN_HSL, "on", "Whether the client's request body is passed to the peer."), \
    D_FLAG(S, g.ignore_client_abort, P "ignore_client_abort", IN_HSL, "off", "Whether the exchange with the peer goes on when the client has left."), \
    D_BUFS(S, g.buffers, P "buffers", IN_HSL, "8 4k", "How much of an answer may wait in memory for a slow client."), \
    D_TYPE(S, g.busy_buffers_size, bytes, &gateway_checked_size, P "busy_buffers_size", IN_HSL, NULL, "Checked against the buffers as nginx does; what may be on its way to the client is bounded by weir itself."), \
    D_TYPE(S, g.max_temp_file_size, bytes, &conf_bytes_off, P "max_temp_file_size", IN_HSL, "1024m", "How much of an answer may wait in a temporary file; 0: none."), \
    D_TYPE(S, g.temp_file_write_size, bytes, &gateway_checked_size, P "temp_file_write_size", IN_HSL, NULL, "Checked against the buffers as nginx does; weir writes all that the buffers hold at a time."), \
    D_TYPE(S, g.limit_rate, struct template *, &gateway_rate_type, P "limit_rate", IN_HSL, "0", "How many bytes a second are read of a buffered answer; 0: as they come."), \
    D_FLAG(S, g.force_ranges, P "force_ranges", IN_HSL, "off", "Whether ranges are cut from answers that do not offer them."), \
    D_TYPE(S, g.store, struct gateway_store, &gateway_store_type, P "store", IN_HSL, "off", "Whether, and where, a copy of an answer is kept as a file."), \
    D_TYPE(S, g.store_access, mode_t, &conf_access, P "store_access", IN_HSL, "user:rw", "The permissions of kept copies, and of folders made for them: user, group and all, each with r or rw."), \
    D_TYPE(S, g.temp_path, struct temp_path, &temp_path_type, P "temp_path", IN_HSL, TEMP, "The folder of temporary files, with up to three levels of folders below it.")

/* early_hints: when a 103 of an upstream is passed to the client. */
struct early_hints_conf { struct templates when; };
extern struct module http_gateway_module;

/* "address" or "address,address" (of IPv4 and of IPv6) into out[2], AF_UNSPEC where there is none. False: it is neither. */
bool gateway_bind_parse(struct pool *pool, struct text t, struct addr *out);
/* Rules over several of them; prefix as in GATEWAY_ROWS, for messages. hidden: what this protocol hides by default. */
conf_result gateway_conf_check(struct conf *cf, struct gateway_conf *g, const char *prefix, const enum field_id *hidden, size_t count);
/* Is a field of this name kept from the client? */
bool gateway_hides(const struct gateway_hidden *h, const struct field *f);

#endif
