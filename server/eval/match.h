/* match: names against patterns, and texts against regular expressions (PCRE2 with JIT, bounded in time and depth). */
#ifndef EVAL_MATCH_H
#define EVAL_MATCH_H

#include "eval/eval.h"

struct regex;
/* Named groups become variables of the kind here. NULL with *why set (PCRE2's own words and offset). */
struct regex *regex_compile(struct conf *cf, struct text pattern, bool nocase, conf_result *why);
/* True: matched; e's captures are set (e NULL: none are kept) and named groups are readable; they point into subject, which
 * live as long as e->pool. False leaves them as they are. A limit hit: [error], e->failed, false. */
bool regex_match(const struct regex *r, struct text subject, struct eval *e);
/* For patterns that are known only when a request is served: in this pool, and no group is a variable. NULL: *why_out. */
struct regex *regex_compile_now(struct pool *pool, struct text pattern, bool nocase, struct text *why_out);
/* The nth named group, from 0, and its number; false: there are no more. */
bool regex_group_name(const struct regex *r, unsigned n, struct text *name_out, unsigned *number_out);
struct text regex_source(const struct regex *r);
unsigned regex_groups(const struct regex *r);

/* Host names (or any words: map's) to anything, by nginx's precedence: exact, longest "*.suffix" (".suffix" is both),
 * longest "prefix.*", then regexes in order. Lookup costs the same with one name or a million. */
struct names;
struct names *names_open(struct conf *cf);
/* A host name, wildcard or "~regex" (any case matches when it has capitals). The text is copied, in lower case. NULL, or
 * what is wrong. *duplicate_out (may be NULL): an equal name was there; the first one stays. */
conf_result names_add(struct conf *cf, struct names *n, struct text name, void *value, bool *duplicate_out);
/* Only as it stands, no wildcard; false: an equal one was there, and stays. */
bool names_add_exact(struct names *n, struct text name, void *value);
/* As names_add_exact; value is a copy of size bytes that stands beside the name, not aligned. */
bool names_add_copy(struct names *n, struct text name, const void *value, size_t size);
/* All exact names and wildcards are there: a look costs less from now on. */
void names_settle(struct names *n);
void names_add_regex(struct names *n, const struct regex *r, void *value);
/* host: lower case, without port. NULL: none. e: for captures, may be NULL when there is no regex. */
void *names_find(const struct names *n, struct text host, struct eval *e);
/* Only what stands there as it is. word: lower case. */
void *names_find_exact(const struct names *n, struct text word);
/* As names_find for words in any case; a regex sees them as they are. */
void *names_find_nocase(const struct names *n, struct text word, struct eval *e);

#endif
