/* forwarded: whom X-Forwarded-For says that a request is from, where those who say so are trusted. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "config/conf.h"
#include "http/request.h"

struct forwarded { struct cidr *v; size_t n, cap; };     /* networks of trusted proxies */

/* One more trusted network, as a directive's word gives it. NULL, or what is wrong with it. */
conf_result forwarded_trust(struct conf *cf, struct forwarded *f, struct text word);
/* From the right, as long as those who speak are trusted (not recursive: one step); a itself where it is not. */
struct addr forwarded_address(const struct forwarded *f, bool recursive, struct request *r, struct addr a);

#endif
