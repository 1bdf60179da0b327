/*
 * proxy: what the files of the http proxy share.
 *   proxy.c           rows, proxy_pass, variables        proxy_head.c      the request's head, compiled and written
 *   proxy_ssl.c       TLS                                proxy_redirect.c  Location and Refresh for the client
 *   proxy_cookie.c    Set-Cookie for the client          proxy_probe.c     what health checks ask
 * Answers are read by gateway/answer.h.
 */
#ifndef MODULES_PROXY_H
#define MODULES_PROXY_H

#include "gateway/answer.h"
#include "http/probe.h"
#include "modules/module.h"

/* proxy_set_header lines, as given */
struct proxy_header { struct text name; struct template *value; };
struct proxy_headers { struct proxy_header *v; size_t n, cap; };

/* proxy_redirect, proxy_cookie_domain and proxy_cookie_path lines: what takes the place of what */
enum proxy_redirect_kind { PROXY_REDIRECT_DEFAULT, PROXY_REDIRECT_PREFIX, PROXY_REDIRECT_DOMAIN, PROXY_REDIRECT_REGEX };
struct proxy_redirect { enum proxy_redirect_kind kind; struct template *from, *to; struct regex *regex; };
struct proxy_redirects { struct proxy_redirect *v; size_t n, cap; bool off; };

/* proxy_cookie_flags lines */
struct proxy_cookie_flags { struct template *name; struct regex *regex; struct templates flags; };
struct proxy_cookies { struct proxy_cookie_flags *v; size_t n, cap; bool off; };

struct proxy_head;

struct proxy_conf {
    struct gateway_conf    g;
    struct proxy_headers   headers;
    struct proxy_redirects redirects, domains, paths;
    struct proxy_cookies   cookies;
    int                    version;         /* 1000, 1001 */
    struct template       *method, *body;
    struct proxy_head     *head;            /* made by check from headers */
};

/* The parts of a url: of a proxy_pass, or of what its variables gave. */
struct proxy_url {
    struct text scheme;
    struct text host_header;                /* $proxy_host: with the port where it is not the scheme's own */
    struct text host;                       /* without port; "unix:/path" */
    uint16_t    port;                       /* 0: none given */
    struct text uri;                        /* empty: none given */
    bool        is_unix, secure;
    uint16_t    default_port;
};

/* One proxy_pass: the location's content_data. */
struct proxy_pass {
    struct text       source;               /* as given */
    struct template  *dynamic;              /* has variables, else NULL */
    struct proxy_url  url;
    struct group_ref *ref;
    struct groups    *groups;
    struct text       location;             /* its name: what uri takes the place of */
    struct proxy_pass *next;                /* of those that may speak TLS: proxy_ssl.c */
    struct conf_block *block;
    const char        *file;
    unsigned          line;
};

/* One request's: the exchange's data. */
struct proxy_request {
    struct answer            answer;        /* first: answer.h */
    const struct proxy_pass *pass;
    const struct proxy_conf *conf;
    struct proxy_url         url;
    int64_t                  length_up;     /* of the request's body, -1: none is told */
};

static inline struct proxy_request *proxy_of(const struct exchange *x) { return x->data; }

/* NULL, or what is wrong. pool keeps what is made. */
const char *proxy_url_parse(struct pool *pool, struct text t, struct proxy_url *out);

extern const struct conf_type proxy_header_type, proxy_redirect_type, proxy_cookie_domain_type, proxy_cookie_path_type, proxy_cookie_flags_type;
/* What the proxy_set_header lines and the defaults come to. */
conf_result proxy_head_compile(struct conf *cf, struct proxy_conf *c);
/* x->send.head, and what it says of the body. False: 500, logged. */
bool proxy_head_make(struct exchange *x);
/* gateway_protocol's frame_body: the client's trailers with the last chunk, where they are passed. */
void proxy_frame_body(struct exchange *x, struct chain *in, enum body_end end, struct chain *out);
/* The part of the url after the host, as it is sent. Empty: there is none, logged. */
struct text proxy_uri(struct request *r, const struct proxy_request *q);
/* gateway_protocol's rewrite_field. */
bool proxy_redirect_field(struct exchange *x, const struct field *f, struct text *value_out);
/* value by the first line of list that fits. False: none does. */
bool proxy_redirect_value(struct exchange *x, const struct proxy_redirects *list, struct text value, struct text *out);
/* A whole Set-Cookie. False: it stays as it is. */
bool proxy_cookie_rewrite(struct exchange *x, struct text cookie, struct text *out);

/* While reading: p passes to https, or to what is not known yet. */
void proxy_ssl_note(struct conf *cf, struct proxy_pass *p);
/* What r's upstream is spoken to with; the exchange is open already. */
const struct secure *proxy_ssl_of(struct request *r);
/* The same for a request of our own. */
void proxy_ssl_prepare(const struct location *l, struct eval *e, struct fetch_want *out);

extern const struct probe proxy_probe;
extern struct module http_proxy_module, http_proxy_pass_module;

#endif
