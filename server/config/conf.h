/*
 * config: from a file of words to typed values, by rows.
 *
 * Glossary
 *   directive  one row: name, type, where it may stand, field, default, one sentence of help.
 *   type       how the words of a directive become a field's value.
 *   module     a named list of rows and the struct they fill; knows its slot in every block.
 *   block      "http {", "server {", "location / {": what was set inside it, and its parent.
 *   conf       one reading of one configuration: its pool, its tree of blocks, where we are now.
 *
 * Reading fills, for each block, only the structs of modules that a directive in it set something of. When the whole
 * file is read, conf_finish walks the tree from the top: a field that was not set is taken from the parent ("set here,
 * or wholly from above"), a module of which nothing was set shares its parent's struct, a block in which nothing was
 * set shares its parent's whole array. The topmost structs hold the defaults, which the same parsers read.
 */
#ifndef CONFIG_CONF_H
#define CONFIG_CONF_H

#include "base/log.h"
#include "base/pool.h"
#include "base/table.h"
#include <stdio.h>

/* Where a directive may stand, one bit a kind of block. */
enum {
    IN_MAIN = 1 << 0, IN_EVENTS = 1 << 1, IN_HTTP = 1 << 2, IN_SERVER = 1 << 3, IN_LOCATION = 1 << 4,
    IN_IF_SERVER = 1 << 5,       /* "if" in server */
    IN_IF = 1 << 6,              /* "if" in location */
    IN_LIMIT_EXCEPT = 1 << 7, IN_UPSTREAM = 1 << 8,
    IN_STREAM = 1 << 9, IN_STREAM_SERVER = 1 << 10, IN_STREAM_UPSTREAM = 1 << 11,
    IN_MATCH = 1 << 12, IN_ACME = 1 << 13, IN_MGMT = 1 << 14,
    IN_HSL = IN_HTTP | IN_SERVER | IN_LOCATION,
};

/* The value types of rows: distinct, so that a size is never stored in a time unnoticed. */
typedef struct { uint64_t ms; }    span;
typedef struct { uint64_t bytes; } bytes;
typedef struct { uint8_t on; }     flag;
typedef struct { uint32_t n, size; } bufs;          /* "8 4k" */

struct conf;
struct directive;

/* What is wrong with the words given, to be completed by the engine with directive, file and line; NULL: nothing. A
 * parser that got one from conf_enter or conf_entries returns it as it is. */
typedef const char *conf_result;

enum { CONF_MULTI = 1,      /* may be given several times in one block: parse adds to its field. Without it a second one in
                               the same block, or another row of the same field, "is duplicate": this holds for rows
                               without a field and for blocks too ("server" needs CONF_BLOCK | CONF_MULTI) */
       CONF_BLOCK = 2,      /* ends with "{": parse must call conf_enter or conf_entries */
       CONF_NO_EFFECT = 4,  /* accepted, and one [warn] says that it has no effect here */
       CONF_OPT_BLOCK = 8 };/* may end with "{" or ";" (cf->opened tells) */

struct conf_type {
    const char *syntax;     /* as help prints it: "time", "on | off" */
    size_t      size;       /* of the field; 0: no field of the row's own, nothing to inherit */
    unsigned    flags;
    unsigned    min, max;   /* words after the name */
    /* cf->words[1 … count-1] into field, which is zeroed when the row is first set in this block. */
    conf_result (*parse)(struct conf *cf, const struct directive *d, void *field);
};

struct directive {
    const char             *name;
    const struct conf_type *type;
    uint32_t                where;
    uint32_t                offset;  /* of the field in the module's struct */
    const char             *dflt;    /* words as they would stand in the file; NULL: none (field stays zero) */
    const char             *help;    /* one sentence */
    const char             *syntax;  /* NULL: the type's */
    const void             *data;    /* for the type: choices of an enum, struct conf_bounds, … */
    const char             *since;   /* "weir": a directive nginx does not have; NULL: as in nginx */
};

/* offsetof, with a compile-time check of the field's type */
#define FIELD(S, f, Ty) (offsetof(S, f) + 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((S *) 0)->f), Ty) ? 1 : -1]))

#define D_FLAG(S, f, nm, wh, df, hp)  { .name = nm, .type = &conf_flag,  .where = wh, .offset = FIELD(S, f, flag),        .dflt = df, .help = hp }
#define D_TIME(S, f, nm, wh, df, hp)  { .name = nm, .type = &conf_span,  .where = wh, .offset = FIELD(S, f, span),        .dflt = df, .help = hp }
#define D_SIZE(S, f, nm, wh, df, hp)  { .name = nm, .type = &conf_bytes, .where = wh, .offset = FIELD(S, f, bytes),       .dflt = df, .help = hp }
#define D_NUM(S, f, nm, wh, df, hp)   { .name = nm, .type = &conf_num,   .where = wh, .offset = FIELD(S, f, int64_t),     .dflt = df, .help = hp }
#define D_TEXT(S, f, nm, wh, df, hp)  { .name = nm, .type = &conf_text,  .where = wh, .offset = FIELD(S, f, struct text), .dflt = df, .help = hp }
#define D_PATH(S, f, nm, wh, df, hp)  { .name = nm, .type = &conf_path,  .where = wh, .offset = FIELD(S, f, struct text), .dflt = df, .help = hp }
#define D_BUFS(S, f, nm, wh, df, hp)  { .name = nm, .type = &conf_bufs,  .where = wh, .offset = FIELD(S, f, bufs),        .dflt = df, .help = hp }
/* choices: struct conf_choice[], ends with name NULL. D_BITS: several words, or-ed. */
#define D_ENUM(S, f, nm, wh, df, ch, hp) { .name = nm, .type = &conf_enum, .where = wh, .offset = FIELD(S, f, int), .dflt = df, .help = hp, .data = ch }
#define D_BITS(S, f, nm, wh, df, ch, hp) { .name = nm, .type = &conf_bits, .where = wh, .offset = FIELD(S, f, unsigned), .dflt = df, .help = hp, .data = ch }
/* Known, does nothing on this system; says so once. Takes any words, but where the syntax is that of a simple type ("on | off",
 * "time", "size", "number" …), what nginx would take. */
#define D_NONE(nm, wh, sx, df, hp)    { .name = nm, .type = &conf_none, .where = wh, .dflt = df, .help = hp, .syntax = sx }
/* A type of the module's own; S, f: the field it fills, of the C type Ty. */
#define D_TYPE(S, f, Ty, ty, nm, wh, df, hp) { .name = nm, .type = ty, .where = wh, .offset = FIELD(S, f, Ty), .dflt = df, .help = hp }
/* A type of size 0: an action. field is the module's whole struct for this block. */
#define D_DO(ty, nm, wh, sx, df, hp)  { .name = nm, .type = ty, .where = wh, .dflt = df, .help = hp, .syntax = sx }

struct conf_choice { const char *name; int value; };
/* For conf_num, by .data: a number outside is refused; max below min: no upper bound. */
struct conf_bounds { int64_t min, max; };

extern const struct conf_type conf_flag, conf_span, conf_bytes, conf_num, conf_text, conf_path, conf_bufs, conf_enum, conf_bits, conf_none;
/* size | off: as conf_bytes with off = 0; time | off; "list of words" into struct conf_texts, CONF_MULTI. */
extern const struct conf_type conf_bytes_off, conf_span_off, conf_texts;
/* "user:rw group:r all:r" into a mode_t: what files that are made may be used for. */
extern const struct conf_type conf_access;
struct conf_texts { struct text *v; size_t n, cap; };

/* Scalar readers, for the parsers of modules: the whole text is one value, else false. nginx's units. */
bool conf_read_span(struct text t, uint64_t *ms_out);     /* 1h30m, 10s, 500ms, 30; nginx's order of units */
bool conf_read_bytes(struct text t, uint64_t *out);       /* 10, 4k, 1m, 1g */
bool conf_read_flag(struct text t, bool *on_out);

struct conf_block;
struct module {
    const char             *name;       /* "ngx_http_proxy_module" style is for help only: give the short name, "http_proxy" */
    size_t                  conf_size;  /* of the struct that the rows fill; 0: none */
    const struct directive *rows;       /* ends with a row whose name is NULL; NULL: none */
    /* Rules across fields, once for each block in which something of this module was set (and for the top); values
     * are complete and may be changed. NULL, or what is wrong. */
    conf_result           (*check)(struct conf *cf, struct conf_block *b, void *values);
    /* Once, when the tree is finished; the top block's values. In the master, before anything is opened. */
    conf_result           (*finish)(struct conf *cf, void *values);
    const void             *part;       /* what a higher layer adds: struct http_part *, struct process_part * … */
    const void             *part_kind;  /* address that tells which: &http_part_kind … */
    const struct module    *extra;      /* further parts, same rule (rows NULL) */
    unsigned                slot;       /* set by conf_register */
    size_t                  row_count;  /* set by conf_register */
};

/* One "{ … }" (or the file itself, kind IN_MAIN). */
struct conf_block {
    struct conf_block *parent, *children, *last_child, *next;
    uint32_t           kind;            /* one IN_ bit */
    void             **values;          /* one pointer a slot; complete after conf_finish, until then use conf_own */
    struct conf_own   *own;             /* what was set here */
    const char        *file;
    unsigned           line;
    void              *object;          /* the vhost, location, … that this block describes */
    struct conf_lines *lines;           /* -t: what stands in it, word by word: lint.h */
};

struct conf {
    struct pool       *pool;            /* lives as long as the configuration */
    struct pool       *scratch;         /* ends when reading ends */
    struct conf_block *top;
    struct conf_block *block;           /* where we are */
    struct text       *words;           /* the directive in hand: words[0] is its name; each ends with NUL */
    size_t             count;
    bool               opened;          /* it ended with "{" */
    const char        *file;            /* of the directive in hand */
    unsigned           line;
    struct text        prefix;          /* -p: relative paths of the server's own files start here; ends with "/" */
    struct text        conf_prefix;     /* folder of the main file: relative includes and keys */
    bool               testing;         /* -t */
    void              *cycle;           /* the generation in the making, for layers to the right */
    struct conf_source *source;         /* the reader; private */
    unsigned           errors, warnings;
    unsigned           depth;
    struct table       noted;           /* what conf_warn_once has said */
    uint8_t           *given;           /* a byte a slot: see conf_given */
    FILE              *dump;            /* -T */
    struct lint       *lint;            /* -t: lint.h; else NULL */
};

/* The list of modules, in order; made by configure (objs/modules.c). Ends with NULL. */
extern struct module *module_list[];

/* Gives every module its slot and builds the name table. Once per process. A double directive name with overlapping
 * places, a row without help, a field outside its struct: [alert] and false. */
bool conf_register(void);
size_t conf_slots(void);

/* Reads file (and before it the words of -g, may be empty) into a new tree. NULL after [emerg] lines. pool is the caller's.
 * dump: gets every file once, as -T prints it, when conf_finish has succeeded; or NULL. */
struct conf *conf_open(struct pool *pool, const char *file, struct text globals, struct text prefix, void *cycle, bool testing, FILE *dump);
/* The same from memory: name stands for the file in messages, "include" is refused. For tests. */
struct conf *conf_open_text(struct pool *pool, const char *name, struct text content, struct text globals, struct text prefix);
/* Inherits, checks, finishes, and ends scratch memory. False after [emerg] lines; a default that its own type refuses is an [alert].
 * (Called by conf_open's user once reading succeeded.) */
bool conf_finish(struct conf *cf);
/* For a configuration that conf_finish is not called for: ends scratch memory. *cf itself and the tree live on in the pool;
 * calling it once more does nothing. */
void conf_close(struct conf **cf);

/* For parsers of CONF_BLOCK rows. conf_enter: directives of kind inside a new block, whose object is given; the new
 * block in *out. conf_entries: free-form lines ("a b c;"), each given to fn with cf->words (words[0] is the first
 * word), "include" handled. Both read up to and with the closing "}". */
conf_result conf_enter(struct conf *cf, uint32_t kind, void *object, struct conf_block **out);
conf_result conf_entries(struct conf *cf, conf_result (*fn)(struct conf *cf, void *arg), void *arg);
/* file: asked before an included file (its full path, NUL-ended) is read; true: it is not, what it holds has been taken otherwise. */
conf_result conf_entries_files(struct conf *cf, conf_result (*fn)(struct conf *cf, void *arg),
                               bool (*file)(struct conf *cf, const char *path, void *arg), void *arg);

/* This block's own struct of m, made (zeroed) when there is none yet: for parsers that set another module's value. */
void *conf_own_values(struct conf *cf, struct conf_block *b, const struct module *m);
/* After conf_finish. */
static inline void *conf_values(const struct conf_block *b, const struct module *m) { return b->values[m->slot]; }
/* Is a value of m set in any block below the top? What is not given anywhere, its module need not look for. */
bool conf_given(const struct conf *cf, const struct module *m);
/* Was this row's field set in this very block (not inherited)? */
bool conf_is_set(const struct conf_block *b, const struct module *m, size_t offset);
/* Marks it as set, for parsers that fill several fields. */
void conf_mark_set(struct conf *cf, struct conf_block *b, const struct module *m, size_t offset);

/* The message, in the conf's pool: return conf_say(cf, "…"). Complete sentences without the directive's name and place
 * are completed as nginx's are: `"NAME" directive MESSAGE in FILE:LINE`; a message that begins with "!" is printed
 * without the directive's name in front (`MESSAGE in FILE:LINE`). */
__attribute__((format(printf, 2, 3))) conf_result conf_say(struct conf *cf, const char *fmt, ...);
extern const char conf_invalid[];     /* "invalid value" in nginx's words; = `invalid value "WORD"` made by the engine */
extern const char conf_duplicate[];   /* "is duplicate" */
extern const char conf_said[];        /* something is wrong and has been logged already */
/* [warn] with file and line. */
__attribute__((format(printf, 2, 3))) void conf_warn(struct conf *cf, const char *fmt, ...);
__attribute__((format(printf, 3, 4))) void conf_warn_once(struct conf *cf, const char *key, const char *fmt, ...);
/* An error found later (in check or finish), about a block or row: prints [emerg] and makes conf_finish fail. */
__attribute__((format(printf, 4, 5))) void conf_error_at(struct conf *cf, const char *file, unsigned line, const char *fmt, ...);

/* A path as nginx completes it: relative to the prefix (or to the folder of the main file). In the conf's pool, NUL-ended. */
struct text conf_full_path(struct conf *cf, struct text path, bool from_conf_folder);

/* Whether this weir has a directive of that name anywhere. */
bool conf_knows(struct text name);
/* Nearest known directive name that may stand in one of kinds, or empty. */
struct text conf_nearest(struct text name, uint32_t kinds);
/* "http, server, location, if in location" */
void conf_where_text(struct build *b, uint32_t where);

#endif
