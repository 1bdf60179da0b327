/* page: what a response says when nobody else says it: words of statuses, built-in pages, the Server field. */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "http/response.h"

/* "weir/1.0", as server_tokens says; may be empty. */
struct text page_server(struct request *r);
/* keepalive_disable names the client's browser. */
bool page_browser_breaks_keepalive(const struct request *r);
bool page_browser_is_msie(const struct request *r);
/* MSIE or Chrome, which replace short error pages by their own. */
bool page_browser_pads(const struct request *r);
/* A page that sends MSIE to r->out.location, for msie_refresh. */
struct text page_refresh(struct request *r);

#endif
