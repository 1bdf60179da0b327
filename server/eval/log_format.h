/* log_format: a line of an access log, compiled once, written into a buffer in one pass. */
#ifndef EVAL_LOG_FORMAT_H
#define EVAL_LOG_FORMAT_H

#include "eval/eval.h"

struct log_format;

/* Words of a line that are written straight into it, for they are nothing but digits and the like: no value is made of
 * them, nothing is escaped. */
struct log_word { const char *name; void (*put)(struct eval *e, struct build *b); };

/* words: perhaps "escape=default|json|none", then strings that make one line together. own: ends with name NULL.
 * NULL with *why set. */
struct log_format *log_format_compile(struct conf *cf, enum eval_kind kind, const struct text *words, size_t count, const struct log_word *own, conf_result *why);
/* Appends the line, without a newline. */
void log_format_build(const struct log_format *f, struct eval *e, struct build *b);

#endif
