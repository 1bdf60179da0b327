/* ssi: what its files know of each other: ssi.c (the filter), ssi_command.c, ssi_text.c. */
#ifndef MODULES_SSI_H
#define MODULES_SSI_H

#include "modules/module.h"
#include "wire/ssi.h"

struct ssi_variable { struct ssi_variable *next; struct text name, value; };
struct ssi_block { struct ssi_block *next; struct text name; struct chain content; };

/* Of the main request and all its subrequests, in the main one's pool. */
struct ssi_shared { struct ssi_variable *variables; struct ssi_block *blocks; struct captures captures; };

enum ssi_context { SSI_OUTSIDE, SSI_AFTER_IF, SSI_AFTER_ELSE };
enum ssi_encoding { SSI_ENTITY, SSI_URL, SSI_PLAIN };

/* One response. */
struct ssi {
    struct request     *r;
    struct ssi_shared  *shared;
    struct ssi_parser   parser;
    struct chain        in, out;
    enum body_end       end;
    bool                waiting;       /* for an included response */
    bool                output, chosen, silent;
    enum ssi_context    context;
    enum ssi_encoding   encoding;
    struct ssi_block   *block;         /* being read */
    struct text         timefmt, errmsg;
};

/* Values of the parameters by the command's own order; p NULL: not given. */
typedef const struct text *ssi_values;
/* False: the error message takes its place; the line about it is logged. */
typedef bool (*ssi_run)(struct ssi *s, ssi_values v);

struct ssi_command_row { const char *name; ssi_run run; enum ssi_context only_in; bool in_block; const char *params[6]; unsigned needed; };

/* Does the command that was read; false as above. */
bool ssi_command(struct ssi *s);
/* Passes on what is out: before something else takes its place in order (ssi.c). */
void ssi_flush(struct ssi *s);
struct ssi_shared *ssi_shared_of(struct request *r);

/* ssi_text.c: "$name", "${name}", backslashes; prefix: the request's folder stands before it unless it begins with "/".
 * False: logged. The result lasts as long as the request. */
bool ssi_text_expand(struct ssi *s, struct text t, bool prefix, struct text *out);
/* A variable of "set" or of the request; false: there is none. */
bool ssi_text_lookup(struct ssi *s, struct text name, struct text *out);
/* The place of a variable of "set", made when it is new. */
struct ssi_variable *ssi_text_variable(struct ssi *s, struct text name);
void ssi_text_escape(struct build *b, struct text t, enum ssi_encoding how);

#endif
