/* error_page: what v_reply(status) means: another uri that answers for it, a redirect, or a built-in page. */
#include "http/core_conf.h"
#include "http/page.h"
#include "http/reqbody.h"
#include "http/steps.h"
#include "http/subrequest.h"

/* No answer at all: the connection ends. */
static struct verdict drop(struct request *r, int status)
{
    struct chain none = CHAIN_EMPTY;
    r->err_status = 0;
    r->out.status = status;
    r->out.ended = true;
    r->keepalive = false;
    r->proto->body(r, &none, BODY_BROKEN);
    return v_over();
}

/* Statuses after which the connection cannot be trusted to be where we think it is. */
static bool ends_connection(int status)
{
    switch (status) {
    case 400: case 413: case 414: case 494: case 495: case 496: case 497: case 500: case 501: return true;
    default: return false;
    }
}

static const struct error_page *find_page(struct request *r, int status)
{
    const struct http_core_conf *core = http_core(r);
    if (r->error_page_done || r->uri_changes == 0 || !core->error_pages.n) return NULL;
    if (!core->recursive_error_pages.on) r->error_page_done = true;
    for (size_t i = 0; i < core->error_pages.n; i++)
        if (core->error_pages.v[i].status == status) return &core->error_pages.v[i];
    return NULL;
}

/* The built-in page of status; r->err_status is what the client sees. */
static struct verdict send_page(struct request *r, int status)
{
    struct chain body = CHAIN_EMPTY;
    struct text page;
    bool refresh = http_core(r)->msie_refresh.on && (status == 301 || status == 302) && page_browser_is_msie(r);
    r->expect_tested = true;
    if (status >= 494 && status <= 497 && r->err_status == status) r->err_status = 400;
    if (refresh) {
        page = page_refresh(r);
        r->err_status = 200;
        r->out.location = T("");
    } else {
        page = response_page(r, status);
    }
    r->out.type = page.n ? T("text/html") : T("");
    r->out.charset = r->out.etag = T("");
    r->out.length = (int64_t) page.n;
    r->out.modified = -1;
    r->out.accept_ranges = false;
    r->out.status = r->err_status;
    fields_remove(&r->out.fields, FIELD_ETAG);
    fields_remove(&r->out.fields, FIELD_LAST_MODIFIED);
    fields_remove(&r->out.fields, FIELD_ACCEPT_RANGES);
    fields_remove(&r->out.fields, FIELD_CONTENT_LENGTH);
    if (!response_head(r)) return v_over();
    chain_add_text(&body, page);
    response_body(r, &body, BODY_FINAL);
    return v_over();
}

/* To a uri outside, whose page is the one of the redirect. */
static struct verdict redirect(struct request *r, struct text uri)
{
    switch (r->err_status) {
    case 301: case 302: case 303: case 307: case 308: break;
    default: r->err_status = 302;
    }
    r->out.location = uri;
    return send_page(r, r->err_status);
}

static struct verdict go_to_page(struct request *r, const struct error_page *page)
{
    if (page->answer >= 0) r->err_status = page->answer;
    struct text uri = template_render(page->uri, &r->eval), args = page->args;
    if (uri.n && uri.p[0] == '@') return request_redirect_named(r, uri);
    if (!uri.n || uri.p[0] != '/') return redirect(r, uri);
    if (!template_is_constant(page->uri)) {
        ssize_t q = text_find_char(uri, '?');
        args = q < 0 ? T("") : text_from(uri, (size_t) q + 1);
        if (q >= 0) uri = text_upto(uri, (size_t) q);
    }
    if (r->method != METHOD_HEAD) {
        r->method = METHOD_GET;
        r->method_name = T("GET");
    }
    return request_redirect(r, uri, args);
}

struct verdict error_page_answer(struct request *r, int status)
{
    NEED(r, REQUEST_MAGIC);
    if (r->out.ended) return v_over();
    if (r->out.head_sent) {
        struct chain none = CHAIN_EMPTY;
        response_body(r, &none, BODY_BROKEN);
        return v_over();
    }
    if (r->main != r && subrequest_replaces(r)) return v_over();
    if (status == 444 || status == 408 || status == 499) return drop(r, status);
    if (status == 200) return response_text(r, 200, T(""), T(""), true);
    if (ends_connection(status)) r->keepalive = false;
    r->err_status = status;
    r->out.type = T("");
    const struct error_page *page = find_page(r, status);
    return page ? go_to_page(r, page) : send_page(r, status);
}
