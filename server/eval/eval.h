/*
 * eval: values that are known only when a request (or a TCP session) is served. Below http and stream, serving both.
 *
 * Glossary
 *   eval       the side of a request or session that variables see: pool, cache of values, captures. Embedded in it.
 *   variable   a name and how to get its value (and perhaps set it). Rows of modules, or made by map, set, geo …
 *   index      the place of a variable in the cache of values: given when a configuration first names it.
 *   template   "$a/b$c" compiled once; rendered in one pass.
 */
#ifndef EVAL_EVAL_H
#define EVAL_EVAL_H

#include "base/build.h"
#include "config/conf.h"

enum eval_kind { EVAL_HTTP, EVAL_STREAM, EVAL_KINDS };

enum { VALUE_UNKNOWN, VALUE_FOUND, VALUE_MISSING };     /* missing: the variable has no value now ("-" in logs) */
struct value { const char *p; uint32_t n; uint8_t state; };

struct variables;                        /* the names of one configuration, for one kind */

#define EVAL_DEPTH_MAX 100
#define EVAL_CAPTURES 10                 /* $0 … $9, start and end each; -1: did not take part */
struct captures { struct text subject; int at[EVAL_CAPTURES * 2]; unsigned count; };

struct eval {
    enum eval_kind          kind;
    unsigned                depth;       /* variables that ask for variables: bounded (EVAL_DEPTH_MAX) */
    struct pool            *pool;
    const struct log       *log;
    const struct log_about *about;
    const struct variables *names;
    struct value           *values;      /* by index; the owner allocates eval_value_count(names), zeroed */
    struct captures        *captures;    /* of the last regex that matched, or NULL */
    bool                    failed;      /* a regex hit its limit: who decides by one answers 500 then, as nginx */
};

enum { VAR_NO_CACHE = 1,      /* ask anew each time ($time_local, $request_time …) */
       VAR_CHANGEABLE = 2,    /* "set" and auth_request_set may define it anew */
       VAR_PREFIX = 4,        /* name is a beginning: $arg_…, $http_… */
       VAR_SETTLED = 8 };     /* with NO_CACHE: once a request is answered its value stays, also when what it comes from goes (http/park.h) */

struct variable {
    const char *name;
    unsigned    flags;
    /* False: it has no value. name: the whole name (for prefixes). *out may point into the request or be made in e->pool. */
    bool      (*get)(struct eval *e, const struct variable *v, struct text name, struct text *out);
    /* "set $name …": NULL: only the cache is written, when VAR_CHANGEABLE. */
    void      (*set)(struct eval *e, const struct variable *v, struct text value);
    const void *data;
    const char *help;         /* one sentence */
};

/* ---- while a configuration is read ---- */

extern struct module eval_module;

/* The set of names for where we are in cf (EVAL_STREAM inside stream, else EVAL_HTTP); made when needed. */
struct variables *variables_here(struct conf *cf);
struct variables *variables_of(struct conf *cf, enum eval_kind kind);
enum eval_kind    variables_kind(const struct variables *names);
/* Adds the rows of a module (ends with name NULL), or one variable. A name that exists and is not changeable is refused
 * with nginx's message. One that is changeable gets the new get, unless that is NULL ("set", named groups). Names and
 * rows live as long as the configuration. Only while the file is read, not in a module's finish. */
conf_result variables_add_rows(struct conf *cf, enum eval_kind kind, const struct variable *rows);
conf_result variables_add(struct conf *cf, enum eval_kind kind, const struct variable *v);
/* The index of a name (without "$", any case); it need not be defined yet: names that nobody defined by the end of the
 * file are an error, `unknown "x" variable` with the place of first use. */
unsigned variables_index(struct conf *cf, struct text name);
unsigned variables_index_of(struct conf *cf, enum eval_kind kind, struct text name);
/* What stands behind an index once the file is finished. */
const struct variable *variables_at(const struct variables *names, unsigned index);
/* The same before that, as far as the file is read: for "set" and the like. NULL: not defined yet. */
const struct variable *variables_find(const struct variables *names, struct text name);
/* Does the configuration read so far name it? name: lower case. */
bool variables_are_used(const struct variables *names, struct text name);
/* "$name", tab, help, for each name of this kind defined so far; families end with "_". In no special order. */
void variables_list(struct conf *cf, enum eval_kind kind, FILE *out);
/* How many indexes there are: the size of struct eval's values. */
size_t eval_value_count(const struct variables *names);

/* ---- while a request is served ---- */

/* Asks the variable and caches what it says. Use eval_get. */
struct value eval_ask(struct eval *e, unsigned index);
/* The value, cached unless VAR_NO_CACHE. Missing: state VALUE_MISSING, empty text. Never UNKNOWN. */
static inline struct value eval_get(struct eval *e, unsigned index)
{
    struct value v = e->values[index];
    return likely(v.state != VALUE_UNKNOWN) ? v : eval_ask(e, index);
}
/* By name, for what is not known until run time (SSI). */
struct value eval_get_name(struct eval *e, struct text name);
/* By the variable's own set, or into the cache. value lives as long as e->pool. */
void         eval_set(struct eval *e, unsigned index, struct text value);
/* Forgets a cached value: it is asked anew. */
static inline void eval_forget(struct eval *e, unsigned index) { e->values[index].state = VALUE_UNKNOWN; }
static inline struct text value_text(struct value v) { return (struct text) { v.p, v.n }; }
/* nginx's truth: not empty and not "0". */
static inline bool value_is_true(struct value v) { return v.state == VALUE_FOUND && v.n && !(v.n == 1 && v.p[0] == '0'); }
/* $n of the last match: empty when there is none. */
struct text  eval_capture(const struct eval *e, unsigned n);

#endif
