/*
 * source: the bytes of one configuration file, or of -g, taken apart into words. Pure: no descriptor, no log.
 * Words are made in place: they point into the source's own bytes and live as long as these.
 */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "base/pool.h"

/* A word, quotes and escapes included, is shorter than this: nginx's buffer. */
#define SOURCE_WORD_MAX 4096

struct source {
    char    *at, *end;          /* end is writable: one byte more than the content */
    unsigned line;
    bool     is_param;          /* the words of -g */
    char     why[128];          /* what is wrong, in nginx's words, after SOURCE_WRONG */
    unsigned ended_line;        /* where the last run of words ended */
    /* Who wants the comments (without "#"), or NULL. behind: of a run of words that ended on that line. */
    void   (*remark)(void *arg, unsigned line, bool behind, struct text comment);
    void    *remark_arg;
};

struct source_words { struct text *v; size_t n, cap; };

/* How a run of words ended. */
enum source_stop { SOURCE_SEMICOLON, SOURCE_OPEN, SOURCE_CLOSE, SOURCE_END, SOURCE_WRONG };

/* bytes: n of content and room for one more; kept and changed. */
struct source source_of(char *bytes, size_t n, bool is_param);
/* The words up to the next ";", "{" (at least one word), "}" or the end (no word). Each ends with NUL. */
enum source_stop source_read(struct source *s, struct pool *pool, struct source_words *words);

#endif
