/* type_set: the content types that a filter is for (gzip_types, sub_filter_types …). */
#ifndef HTTP_TYPE_SET_H
#define HTTP_TYPE_SET_H

#include "config/conf.h"
#include "http/request.h"

struct type_set { struct text *v; size_t n, cap; bool any; };

/* "mime-type ...", CONF_MULTI: text/html is always among them, "*" is any type. */
extern const struct conf_type type_set_type;
#define D_TYPES(S, f, nm, wh, df, hp) D_TYPE(S, f, struct type_set, &type_set_type, nm, wh, df, hp)

/* Is the response's type one of them? A response without a type: only where any is. */
bool type_set_has(const struct type_set *set, const struct request *r);

#endif
