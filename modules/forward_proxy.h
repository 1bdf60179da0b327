/*
 * forward_proxy: what the files of the forward proxy share.
 *   forward_proxy.c         rows, the way of a request: policy, names, addresses, and who answers; variables; the page of a refusal
 *   forward_proxy_head.c    the request as the origin sees it, Via, anonymity; the origin's answer
 *   forward_proxy_parent.c  which parents are asked, what they are told
 *   forward_proxy_tunnel.c  tunnel_… and CONNECT                forward_proxy_pac.c   PAC files
 *   forward_proxy_original.c  clients that netfilter led here
 *
 * A request is forward when its target is in absolute form or CONNECT's, and forward_proxy is on where it arrives: r->forward. SOCKS and
 * transparent connections are requests of METHOD_CONNECT (form REQUEST_AUTHORITY, host and host_port set) by a protocol of their own, whose
 * head() tells its client the outcome by r->out.status, and whose tunnel() gives its connection: they go through the same steps.
 */
#ifndef MODULES_FORWARD_PROXY_H
#define MODULES_FORWARD_PROXY_H

#include "eval/policy.h"
#include "event/resolve.h"
#include "gateway/answer.h"
#include "gateway/secure_conf.h"
#include "modules/module.h"

enum { FORWARDED_OFF, FORWARDED_APPEND, FORWARDED_RFC7239, FORWARDED_PASS };
enum { VERIFY_ON, VERIFY_ADDRESS, VERIFY_OFF };
enum { ANONYMIZE_OFF, ANONYMIZE_STANDARD, ANONYMIZE_STRICT };
enum { FORWARD_ADDRESSES = 8 };       /* of a name: the most that are tried */

struct forward_conf {
    struct policy       policy;
    struct gateway_conf g, through;        /* of plain requests; of those that go through a parent */
    flag                on;
    int                 forwarded, anonymize, verify_host;
    struct policy_ports opaque;            /* vhost.h */
    struct text         via;               /* "off", "on", or a name */
    struct template    *user, *page;
    span                tunnel_time;
    bytes               tunnel_bytes;
    struct secure_conf  ssl;               /* of https:// in absolute form */
    struct forward_conf *next;             /* of those that need a context; of the top: the first */
    const char          *file;
    unsigned             line;
};

/* One request's. */
struct forward {
    struct answer             answer;      /* first: answer.h */
    const struct forward_conf *conf;       /* NULL: tunnel_pass alone, nobody's policy */
    struct policy_ask         ask;
    struct policy_answer      decided;
    struct request           *r;
    struct lookup             lookup;
    bool                      looking, found, fits;      /* fits: the name is believed to lead to where the client was going */
    int                       status;      /* of a failure; 0: none */
    struct addr               addrs[FORWARD_ADDRESSES];
    uint32_t                  count;
    const char               *refused_scope;
    int64_t                   length_up;
    struct group             *group;
    const struct forward_route *route;     /* the line of forward_proxy_parent that decided; NULL: there is none */
    size_t                    at;          /* which of its parents is asked */
    unsigned                  depth;       /* of the client's connection, where it is one of ours: http/circle.h */
};

static inline struct forward *forward_of(const struct exchange *x) { return x->data; }

/* The context of r, made when there is none. */
struct forward *forward_proxy_context(struct request *r);
/* Finds the addresses of host, those that the policy lets through; v_next: f->group is set. */
struct verdict forward_proxy_find(struct request *r, struct forward *f, struct text host, uint16_t port);
/* For who finds them otherwise. The answer to what the policy, or that rule, refuses; to an address that it refuses. */
struct verdict forward_proxy_refuse(struct request *r, struct forward *f, struct text rule, struct text words);
struct verdict forward_proxy_refuse_address(struct request *r, struct forward *f);
/* Adds a to those that are tried, if the policy lets it through. */
void forward_proxy_take(struct forward *f, const struct addr *a);
/* done, in f->lookup, calls forward_proxy_looked_up. */
void forward_proxy_look_up(struct forward *f, void (*done)(struct lookup *l), struct text host, uint16_t port);
void forward_proxy_looked_up(struct forward *f);
/* Of those that were taken. */
struct group *forward_proxy_group(struct request *r, struct forward *f, struct text name);

/* A request of a client that netfilter led here is one for others' hosts, whatever its form. */
void forward_proxy_original_mark(struct request *r);
/* The address that such a client was going to, as a host is written. */
struct text forward_proxy_original_host(struct request *r);
/* What such a client asks for; anybody's else is left alone. NULL, or why it is refused at once, and the rule's name. */
const char *forward_proxy_original_ask(struct request *r, struct forward *f, struct text *rule_out);
/* As forward_proxy_find: the one address. */
struct verdict forward_proxy_original_find(struct request *r, struct forward *f);

/* "weir-1a2b3c4d", the name of this proxy in Via where none is given. */
struct text forward_proxy_name(const struct forward_conf *c);

/* gateway_protocol of plain requests. */
extern const struct gateway_protocol forward_proxy_protocol;
/* Is there our name in Via? RFC 9110 7.6.3. */
bool forward_proxy_loops(const struct request *r, const struct forward_conf *c);
/* Is it a TRACE or OPTIONS that may go no further? */
bool forward_proxy_ends_here(const struct request *r);
/* The answer to TRACE or OPTIONS that has come to its end here: RFC 9110 7.6.2. */
struct verdict forward_proxy_echo(struct request *r);

/* CONNECT: a tunnel to f->group, or through a parent. v_next: another parent is to be asked. */
struct verdict forward_proxy_tunnel(struct request *r, struct forward *f);

/* ---- parents ---- */

/* Finds f->route. False: there are lines, and none fits. */
bool forward_proxy_route(struct request *r, struct forward *f);
/* The group of the parent that is to be asked, and its scheme; NULL: nobody is. */
struct group *forward_proxy_parent_group(const struct forward *f, struct text *scheme_out);
/* As configured, "direct", or empty where there are no parents. */
struct text forward_proxy_parent_name(const struct forward *f);
/* Must the target's name be resolved by us? */
bool forward_proxy_resolves(const struct forward *f);
/* Is it one that takes this request in absolute form? What is to be fetched by TLS goes through tunnels of those whose own connection is plain. */
bool forward_proxy_parent_is_http(const struct forward *f);
/* gateway_protocol.connected: where it may come back to us, it is noted (http/circle.h). */
void forward_proxy_note(struct exchange *x);
/* Do our connections to parents lead to us, again and again? */
bool forward_proxy_parent_circles(struct request *r, struct forward *f);
/* The value of Proxy-Authorization for it; empty: none. */
struct text forward_proxy_parent_login(struct request *r, const struct forward *f);
/* x is opened for the parent's group: what comes before its first byte. tunnel: the connection is to be one with the target. False: there is
 * no parent. */
bool forward_proxy_parent_ask(struct exchange *x, struct forward *f, bool tunnel);
/* gateway_protocol.another: f goes on to the next parent of its line. */
bool forward_proxy_another(struct exchange *x);
/* For requests that are not forward: 405 for CONNECT where there is no tunnel_pass, and for TRACE. */
struct verdict forward_proxy_tunnel_mark(struct request *r);
/* Server blocks that b concerns take CONNECT. */
void forward_proxy_open_servers(struct conf_block *b);

extern struct module forward_proxy_module, forward_proxy_parent_module, forward_proxy_tunnel_module;

#endif
