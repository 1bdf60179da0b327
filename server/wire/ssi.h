/* ssi: "<!--#command name="value" … -->" found in bytes that come in pieces. Pure: no log, no request. */
#ifndef WIRE_SSI_H
#define WIRE_SSI_H

#include "base/pool.h"

enum { SSI_NAME_MOST = 32, SSI_PARAMS_MOST = 16 };

struct ssi_param { struct text name, value; };

struct ssi_parser {
    struct pool     *pool;             /* of values */
    size_t           value_most;
    unsigned         state;
    unsigned         matched;          /* bytes of "<!--#" */
    char             quote;
    char             command_room[SSI_NAME_MOST], name_room[SSI_NAME_MOST];
    struct text      command;
    struct ssi_param params[SSI_PARAMS_MOST];
    size_t           count;            /* of params; may be above SSI_PARAMS_MOST, then the last ones are not kept */
    char            *value;            /* the one in hand */
    size_t           value_n;
    const char      *fault;            /* what is wrong, in words that stand before the symbol; NULL: nothing */
    char             symbol;
};

enum ssi_event {
    SSI_MORE,        /* all is used */
    SSI_TEXT,        /* what was used is text */
    SSI_SPILL,       /* the first matched bytes of SSI_BEGIN, used earlier, are text; matched is left to the caller to clear */
    SSI_COMMAND,     /* a command is complete */
    SSI_BAD,         /* one that is no command is over */
};
#define SSI_BEGIN "<!--#"

void ssi_parse_open(struct ssi_parser *s, struct pool *pool, size_t value_most);
enum ssi_event ssi_parse(struct ssi_parser *s, struct text t, size_t *used_out);

#endif
