/* template: text with variables, "$a/b${c}d$1", compiled when the configuration is read, rendered in one pass. */
#ifndef EVAL_TEMPLATE_H
#define EVAL_TEMPLATE_H

#include "eval/eval.h"

struct template;

/* "$" rules as nginx's: $name, ${name}, $1 … $9; anything else after "$" is an error ("invalid variable name"). The
 * text is copied. NULL with *why set. _compile: for where cf is; _compile_kind: for a kind. */
struct template *template_compile(struct conf *cf, struct text source, conf_result *why);
struct template *template_compile_kind(struct conf *cf, enum eval_kind kind, struct text source, conf_result *why);
bool        template_is_constant(const struct template *t);
/* As it stands in the file, NUL-ended. */
struct text template_source(const struct template *t);
/* Does it use $1 … $9? */
bool        template_has_captures(const struct template *t);
/* Its one variable, when it is "$name" and nothing else. */
bool        template_variable(const struct template *t, unsigned *index_out);
/* A constant template gives its own text (no copy); one that is a single variable gives the variable's; else built in
 * e->pool. At most 1 MiB, longer: cut and logged. */
struct text template_render(const struct template *t, struct eval *e);
/* Appends. */
void        template_build(const struct template *t, struct eval *e, struct build *b);
/* As template_build, but each variable's value goes through put (escaping for logs, JSON …); missing values: put with p NULL. */
void        template_build_with(const struct template *t, struct eval *e, struct build *b, void (*put)(struct build *b, struct text value));
/* As template_build, but $1 … $9 go through put: for a rewrite's arguments. */
void        template_build_captures(const struct template *t, struct eval *e, struct build *b, void (*put)(struct build *b, struct text value));

/* A directive's value with variables: field is struct template *. */
extern const struct conf_type conf_template;
#define D_TEMPLATE(S, f, nm, wh, df, hp) { .name = nm, .type = &conf_template, .where = wh, .offset = FIELD(S, f, struct template *), .dflt = df, .help = hp }
/* A list of templates ("string ..."), several words and several lines: struct templates. */
struct templates { struct template **v; size_t n, cap; };
extern const struct conf_type conf_templates;
/* True when any is true (nginx's no_cache, bypass, if= …); none given: false. */
bool templates_any_true(const struct templates *t, struct eval *e);

#endif
