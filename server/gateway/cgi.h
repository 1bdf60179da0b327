/*
 * cgi: what FastCGI, SCGI and uwsgi have in common: parameters made of "…_param" lines and of the client's fields, and answers
 * whose head is CGI's (RFC 3875 6).
 */
#ifndef GATEWAY_CGI_H
#define GATEWAY_CGI_H

#include "gateway/exchange.h"
#include "wire/h1.h"

/* "…_param" lines, as given */
struct cgi_param { struct text name; struct template *value; bool if_not_empty; };
struct cgi_params { struct cgi_param *v; size_t n, cap; };
extern const struct conf_type cgi_param_type;

#define CGI_PARAM_ROW(S, f, P) \
    { .name = P "param", .type = &cgi_param_type, .where = IN_HSL, .offset = FIELD(S, f, struct cgi_params), .dflt = "HTTP_HOST $host$is_request_port$request_port", \
      .help = "A parameter that is passed to the server; the client's fields come as HTTP_NAME, but for Proxy and where a parameter of that name is given." }

/* Each parameter, then the client's fields, to put. */
void cgi_params_each(const struct cgi_params *params, struct exchange *x, void (*put)(void *arg, struct text name, struct text value), void *arg);

/* ---- answers ---- */

struct cgi_reader {
    struct h1_parse parse;
    bool            begun;
    bool            shows_status;  /* the field Status is for the client too; set after cgi_begin */
    struct text     status;        /* the field Status */
    int64_t         left;          /* of a body with a length; -1: it has none */
};

void cgi_begin(struct cgi_reader *c, struct exchange *x);
/* The n bytes at p are what there is of the head, nothing moves; fills x->up. http: it may begin with a status line. As
 * gateway_protocol's parse_head. */
enum gateway_parse cgi_parse_head(struct cgi_reader *c, struct exchange *x, bool http, const char *p, size_t n, size_t *used_out);
/* A body that is sent as it is. As gateway_protocol's parse_body. */
enum gateway_parse cgi_parse_body(struct cgi_reader *c, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out);

/*
 * One request to a server that is spoken to once a connection and answers in plain bytes (SCGI, uwsgi): the exchange's data. Its
 * protocol's table names cgi_restart and the like.
 */
struct cgi { const struct cgi_params *params; const void *conf; bool shows_status; struct cgi_reader reader; };
static inline struct cgi *cgi_of(const struct exchange *x) { return x->data; }
void cgi_restart(struct exchange *x);
enum gateway_parse cgi_plain_head(struct exchange *x, const char *p, size_t n, size_t *used_out);
enum gateway_parse cgi_plain_body(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out);
bool cgi_ends_at_eof(struct exchange *x);
/* Content handler: r goes to the gateway_pass of its location. c is copied. */
struct verdict cgi_answer(struct request *r, const struct gateway_protocol *proto, const struct gateway_conf *g, struct cgi c);

/* Fields that are not for the client, less what …_pass_header says. */
extern const enum field_id cgi_hidden[];
enum { CGI_HIDDEN = 5 };

#endif
