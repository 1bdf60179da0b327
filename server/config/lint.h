/*
 * lint: what a configuration that is right may still do wrong. Only "-t" asks: then each directive is kept as it was read,
 * and when the whole file is read the rules of all modules look at the lines that they are for.
 *
 * A finding is a line at [warn]: its identifier, what is wrong, what to write, file and line. The comment "# lint: off ID …" at the end
 * of a directive's line, or on lines before it, silences these findings about it and about all inside it; without an identifier, all.
 */
#ifndef CONFIG_LINT_H
#define CONFIG_LINT_H

#include "config/conf.h"

/* A directive as it was read. */
struct conf_line {
    struct conf_line  *next;         /* in its block */
    struct conf_line  *same;         /* private: use lint_next */
    struct conf_block *block;        /* where it stands */
    struct conf_block *inner;        /* what it opens, or NULL */
    const char        *file;
    unsigned           line, count;
    struct text        words[];      /* count of them, the name first; each ends with NUL */
};

/* A block's: conf_block.lines; NULL: nothing stands in it, or it is not a test. */
struct conf_lines {
    struct conf_line  *first, *last, *opener;    /* opener: NULL for the file itself */
    struct table      *index;                    /* of long ones, once all is read */
    struct conf_lines *next_long;
    unsigned           n;
};

/* A kind of finding, as "weir -h ID" explains it. Sentences. */
struct lint_id { const char *id, *why, *instead; };
/* look is called for every line of that name. */
struct lint_rule { const char *directive; void (*look)(struct conf *cf, const struct conf_line *line); };
/* A module's (part_kind == &lint_part_kind). Both end with a NULL name. */
struct lint_part { const struct lint_id *ids; const struct lint_rule *rules; };
extern const int lint_part_kind;

/* For the engine: begins to keep lines; a line was read (cf->words), a block was entered by the last one, a comment after "#". */
void lint_open(struct conf *cf);
void lint_line_read(struct conf *cf);
void lint_entered(struct conf *cf, struct conf_block *b);
void lint_remark(void *cf, unsigned line, bool behind, struct text comment);
/* Runs all rules. */
void lint_run(struct conf *cf);

/* How many findings there were, silenced ones not counted. */
unsigned lint_count(const struct conf *cf);
/* A finding about a line, or about a place in a block. fmt: what is wrong and what to write, without a full stop. */
__attribute__((format(printf, 4, 5))) void lint_say(struct conf *cf, const struct conf_line *line, const char *id, const char *fmt, ...);
__attribute__((format(printf, 6, 7)))
void lint_say_at(struct conf *cf, const struct conf_block *b, const char *file, unsigned line, const char *id, const char *fmt, ...);

/* The first line of that name in the block, the next one of the same name; or NULL. */
const struct conf_line *lint_first(const struct conf_block *b, const char *name);
const struct conf_line *lint_next(const struct conf_line *line);
/* The line that opens b; NULL for the file itself. */
static inline const struct conf_line *lint_opener(const struct conf_block *b) { return b->lines ? b->lines->opener : NULL; }
static inline bool lint_is(const struct conf_line *line, const char *name) { return text_eq(line->words[0], text_c(name)); }

/* "weir -h lint" and "weir -h ID"; false: no such identifier. */
void lint_help_list(FILE *out);
bool lint_help(FILE *out, struct text id);

#endif
