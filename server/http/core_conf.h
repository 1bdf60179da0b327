/*
 * core_conf: what http's own directives say. http_core_module's rows are those whose values are inherited; the rows
 * that make blocks or speak of one block alone (http, server, location, listen, server_name, internal …) belong to
 * http_module and fill the vhost or location that the block describes.
 */
#ifndef HTTP_CORE_CONF_H
#define HTTP_CORE_CONF_H

#include "base/table.h"
#include "eval/template.h"
#include "http/request.h"
#include "http/temp.h"

enum { LINGERING_OFF, LINGERING_ON, LINGERING_ALWAYS };
enum { SATISFY_ALL, SATISFY_ANY };
enum { SINCE_OFF, SINCE_EXACT, SINCE_BEFORE };                       /* if_modified_since */
enum { KEEPALIVE_NONE = 1, KEEPALIVE_MSIE6 = 2, KEEPALIVE_SAFARI = 4 }; /* keepalive_disable */
enum { BODY_FILE_OFF, BODY_FILE_ON, BODY_FILE_CLEAN };               /* client_body_in_file_only */

/* root or alias: a constant path, or a template. path is full and ends with NUL; no "/" at the end for root. alias_of: the
 * location whose name an alias replaces. */
struct http_root { struct text path; struct template *dynamic; struct location *alias_of; };

/* keepalive_timeout: header_ms is told in "Keep-Alive: timeout=" when not 0. */
struct http_keepalive { uint64_t ms, header_ms; };

/* server_tokens: text: what the server calls itself then. */
enum tokens { TOKENS_OFF, TOKENS_ON, TOKENS_BUILD, TOKENS_TEXT };
struct http_tokens { enum tokens how; struct template *text; };

/* error_log_tag: what the lines about a request end with. */
struct log_tag { struct text name; struct template *value; };
struct log_tags { struct log_tag *v; size_t n, cap; };

struct error_page { int status; int answer; /* -1: as it was, 0: of the page's own answer, else this */ struct template *uri; struct text args; bool has_args; };
struct error_pages { struct error_page *v; size_t n, cap; };

struct http_core_conf {
    /* reading requests */
    bytes                  client_header_buffer_size;
    bufs                   large_client_header_buffers;
    span                   client_header_timeout;
    int64_t                max_headers;
    flag                   ignore_invalid_headers, underscores_in_headers, merge_slashes;
    /* request bodies */
    int                    client_body_in_file_only;
    bytes                  client_max_body_size;           /* 0: no limit */
    bytes                  client_body_buffer_size;
    span                   client_body_timeout;
    struct temp_path       client_body_temp_path;
    /* connections */
    struct http_keepalive  keepalive_timeout;
    span                   keepalive_min_timeout, keepalive_time;
    int64_t                keepalive_requests;
    unsigned               keepalive_disable;
    int                    lingering_close;
    span                   lingering_time, lingering_timeout;
    span                   send_timeout;
    flag                   reset_timedout_connection, tcp_nodelay;
    flag                   chunked_transfer_encoding;
    /* answers */
    flag                   absolute_redirect, server_name_in_redirect, port_in_redirect;
    flag                   etag, msie_padding, msie_refresh, log_not_found, log_subrequest, recursive_error_pages;
    struct http_tokens     server_tokens;
    struct log_tags        error_log_tags;
    int                    satisfy;
    span                   auth_delay;                      /* before a 401 */
    int                    if_modified_since;
    bytes                  subrequest_output_buffer_size;
    int64_t                max_ranges;
    struct text            default_type;
    struct table          *types;                           /* extension (lower case) to struct text *; NULL: the built-in three */
    struct error_pages     error_pages;
    /* files */
    struct http_root       root;
    flag                   sendfile;
    bytes                  sendfile_max_chunk;
    bufs                   output_buffers;
};

extern struct module http_core_module;

/* In force for r. */
static inline struct http_core_conf *http_core(const struct request *r) { return request_values(r, &http_core_module); }

/* The folder of root (or alias) for this request: $document_root. */
struct text request_root(struct request *r);
/* r->uri as a file name by root or alias, NUL-ended, in the request's pool; spare: so many bytes may be written after
 * it (before a NUL). root_len_out (may be NULL): length of the root's part. Empty: the alias's variables failed. */
struct text request_map_path(struct request *r, size_t spare, size_t *root_len_out);
/* Content-Type for r->exten, by types and default_type: sets r->out.type. */
void        request_set_type(struct request *r);
/* The log for lines about r: with connection number and "client: …, server: …, request: …". */
#define request_log(r, level, err, ...) log_at((r)->log, level, (r)->about, err, __VA_ARGS__)

#endif
