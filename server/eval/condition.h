/* condition: what stands between "if (" and ")": nginx's forms. */
#ifndef EVAL_CONDITION_H
#define EVAL_CONDITION_H

#include "eval/template.h"

struct condition;

/* What a path is, for "-f" and its like; all false: nothing that they ask for. */
struct condition_file { bool is_file, is_folder, is_executable; };
typedef void condition_look(struct eval *e, struct text path, struct condition_file *out);

/* words: from the one that begins with "(" to the one that ends with ")". NULL with *why set, in nginx's words. */
struct condition *condition_compile(struct conf *cf, const struct text *words, size_t count, conf_result *why);
/* Does it hold? A regex that matches sets captures, one that does not forgets them. told: where to note ([notice])
 * how regexes went (rewrite_log), or NULL. look: says what a path is (it ends with NUL, in e->pool). */
bool condition_test(const struct condition *c, struct eval *e, const struct log *told, condition_look *look);
/* NULL, unless it is a variable against a regex ("~", "!~" …). */
const struct regex *condition_regex(const struct condition *c);

#endif
