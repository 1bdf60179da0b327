/* tls_conf: the types of TLS's directives, for whatever speaks it: to clients, to proxied servers, over HTTP or not. */
#ifndef PROCESS_TLS_CONF_H
#define PROCESS_TLS_CONF_H

#include "eval/template.h"
#include "process/cycle.h"
#include "tls/tls.h"

/* A certificate or a key: where it lies; or, with variables, a template of that. */
struct tls_word { struct text path; struct template *with; struct text folder; };
struct tls_words { struct tls_word *v; size_t n, cap; };

struct tls_commands { struct tls_command *v; size_t n, cap; };

/* …_certificate_cache */
struct tls_conf_cache { bool on; unsigned max; uint64_t inactive_ms, valid_ms; struct tls_pair_cache *cache; };

extern const struct conf_type tls_conf_file;         /* struct text: a full path, or what tls_pair takes instead of one; may be empty */
extern const struct conf_type tls_conf_files;        /* struct conf_texts: the same, several lines */
extern const struct conf_type tls_conf_word;         /* struct tls_word */
extern const struct conf_type tls_conf_words;        /* struct tls_words: several lines */
extern const struct conf_type tls_conf_passwords;    /* struct conf_texts: the lines of a file; wiped when the configuration ends */
extern const struct conf_type tls_conf_commands;     /* struct tls_commands */
extern const struct conf_type tls_conf_cache;        /* struct tls_conf_cache */
extern const struct conf_type tls_conf_log;          /* struct log_file *: opened by the cycle; NULL: "off" or none */
extern const struct conf_choice tls_conf_protocols[];    /* for D_BITS */

/* Of these words any has variables. */
bool tls_conf_varies(const struct tls_words *w);
/* Where keys are kept apart (ssl_key_isolation): NULL, or why this key cannot be: a worker would read it, or all have it already. */
const char *tls_conf_exposes(const struct conf *cf, const struct tls_word *key);
/* Where it lies, for e: in e->pool. Empty: nowhere. */
struct text tls_conf_render(const struct tls_word *w, struct eval *e);
/* settings.key_line for a struct log_file. */
void tls_conf_write_key(void *log_file, struct text line);

#endif
