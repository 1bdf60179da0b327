#include "http/page.h"
#include "http/core_conf.h"
#include "weir_config.h"
#include "wire/uri.h"

#define SERVER "weir/" WEIR_VERSION

/* X(status, words of the status line, words of the page; "" where there is none) */
#define STATUSES(X) \
    X(100, "Continue", "") X(101, "Switching Protocols", "") X(102, "Processing", "") X(103, "Early Hints", "") \
    X(200, "OK", "") X(201, "Created", "") X(202, "Accepted", "") X(204, "No Content", "") X(206, "Partial Content", "") \
    X(301, "Moved Permanently", "301 Moved Permanently") X(302, "Moved Temporarily", "302 Found") X(303, "See Other", "303 See Other") \
    X(304, "Not Modified", "") X(307, "Temporary Redirect", "307 Temporary Redirect") X(308, "Permanent Redirect", "308 Permanent Redirect") \
    X(400, "Bad Request", "400 Bad Request") X(401, "Unauthorized", "401 Authorization Required") X(402, "Payment Required", "402 Payment Required") \
    X(403, "Forbidden", "403 Forbidden") X(404, "Not Found", "404 Not Found") X(405, "Not Allowed", "405 Not Allowed") \
    X(406, "Not Acceptable", "406 Not Acceptable") X(408, "Request Time-out", "408 Request Time-out") X(409, "Conflict", "409 Conflict") \
    X(410, "Gone", "410 Gone") X(411, "Length Required", "411 Length Required") X(412, "Precondition Failed", "412 Precondition Failed") \
    X(413, "Request Entity Too Large", "413 Request Entity Too Large") X(414, "Request-URI Too Large", "414 Request-URI Too Large") \
    X(415, "Unsupported Media Type", "415 Unsupported Media Type") X(416, "Requested Range Not Satisfiable", "416 Requested Range Not Satisfiable") \
    X(421, "Misdirected Request", "421 Misdirected Request") X(429, "Too Many Requests", "429 Too Many Requests") \
    X(494, "", "400 Request Header Or Cookie Too Large") X(495, "", "400 The SSL certificate error") \
    X(496, "", "400 No required SSL certificate was sent") X(497, "", "400 The plain HTTP request was sent to HTTPS port") \
    X(500, "Internal Server Error", "500 Internal Server Error") X(501, "Not Implemented", "501 Not Implemented") X(502, "Bad Gateway", "502 Bad Gateway") \
    X(503, "Service Temporarily Unavailable", "503 Service Temporarily Unavailable") X(504, "Gateway Time-out", "504 Gateway Time-out") \
    X(505, "HTTP Version Not Supported", "505 HTTP Version Not Supported") X(507, "Insufficient Storage", "507 Insufficient Storage")

static const struct { struct text reason, page; } statuses[600] = {
#define X(status, reason, page) [status] = { TEXT_INIT(reason), TEXT_INIT(page) },
    STATUSES(X)
#undef X
};

struct text response_reason(int status)
{
    return status >= 100 && status < (int) countof(statuses) ? statuses[status].reason : T("");
}

struct text page_server(struct request *r)
{
    const struct http_tokens *tokens = &http_core(r)->server_tokens;
    switch (tokens->how) {
    case TOKENS_OFF:   return T("weir");
    case TOKENS_TEXT:  return template_render(tokens->text, &r->eval);
    case TOKENS_BUILD: return sizeof(WEIR_BUILD) > 1 ? T(SERVER " (" WEIR_BUILD ")") : T(SERVER);
    default:           return T(SERVER);
    }
}

/* ---- browsers, as nginx tells them apart ---- */

enum browser { OTHER, MSIE, MSIE6, CHROME, SAFARI };

static enum browser msie_of(struct text from)
{
    if (from.n < 7 || from.p[6] != '.') return MSIE;
    if (from.p[5] == '4' || from.p[5] == '5') return MSIE6;
    return from.p[5] == '6' && text_find(text_from(from, 7), T("SV1")) < 0 ? MSIE6 : MSIE;
}

static enum browser browser_of(const struct request *r)
{
    struct text agent = request_value(r, FIELD_USER_AGENT);
    if (!agent.n || text_find(agent, T("Opera")) >= 0) return OTHER;
    ssize_t msie = text_find(agent, T("MSIE "));
    if (msie >= 0 && (size_t) msie + 7 < agent.n) return msie_of(text_from(agent, (size_t) msie));
    if (text_find(agent, T("Gecko/")) >= 0) return OTHER;
    if (text_find(agent, T("Chrome/")) >= 0) return CHROME;
    return text_find(agent, T("Safari/")) >= 0 && text_find(agent, T("Mac OS X")) >= 0 ? SAFARI : OTHER;
}

bool page_browser_breaks_keepalive(const struct request *r)
{
    unsigned disable = http_core(r)->keepalive_disable;
    if (!(disable & KEEPALIVE_SAFARI) && r->method != METHOD_POST) return false;
    enum browser b = browser_of(r);
    return (b == MSIE6 && r->method == METHOD_POST && disable & KEEPALIVE_MSIE6) || (b == SAFARI && disable & KEEPALIVE_SAFARI);
}

bool page_browser_is_msie(const struct request *r)
{
    enum browser b = browser_of(r);
    return b == MSIE || b == MSIE6;
}

bool page_browser_pads(const struct request *r)
{
    enum browser b = browser_of(r);
    return b == MSIE || b == MSIE6 || b == CHROME;
}

/* ---- pages ---- */

static const char padding[] =
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";

static bool is_own(int status)
{
    return status >= 494 && status <= 497;      /* codes of nginx's own, which clients see as 400 */
}

struct text response_page(struct request *r, int status)
{
    if (status < 300 || status >= (int) countof(statuses) || !statuses[status].page.n) return T("");
    struct text words = statuses[status].page;
    struct build b = build_in_pool(r->pool, 256, 0);
    build_lit(&b, "<html>\r\n<head><title>");
    build_text(&b, words);
    build_lit(&b, "</title></head>\r\n<body>\r\n<center><h1>");
    build_text(&b, is_own(status) ? T("400 Bad Request") : words);
    build_lit(&b, "</h1></center>\r\n");
    if (is_own(status)) {
        build_lit(&b, "<center>");
        build_text(&b, text_from(words, 4));
        build_lit(&b, "</center>\r\n");
    }
    build_lit(&b, "<hr><center>");
    build_text(&b, page_server(r));
    build_lit(&b, "</center>\r\n</body>\r\n</html>\r\n");
    if (status >= 400 && r->version >= 1000 && http_core(r)->msie_padding.on && page_browser_pads(r)) build_text(&b, text_of(padding, sizeof padding - 1));
    return build_done(&b);
}

struct text page_refresh(struct request *r)
{
    struct build b = build_in_pool(r->pool, 256, 0);
    build_lit(&b, "<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=");
    uri_escape(&b, r->out.location, URI_ESCAPE_REFRESH);
    build_lit(&b, "\"></head><body></body></html>\r\n");
    return build_done(&b);
}
