/* acme_answer: the JSON of ACME servers, read into bounded facts. */
#include "modules/acme.h"
#include "wire/uri.h"
#include <arpa/inet.h>

enum { AUTHORIZATIONS_MOST = ACME_NAMES_MOST, CHALLENGES_MOST = 20 };

/* ---- parts ---- */

static json_t *object_of(struct text json)
{
    json_t *j = json.n <= ACME_ANSWER_MOST ? json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(j)) return j;
    json_decref(j);
    return NULL;
}

static struct text member(const json_t *j, const char *name)
{
    const json_t *v = json_object_get(j, name);
    return json_is_string(v) ? text_of(json_string_value(v), json_string_length(v)) : T("");
}

static bool is_printable(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] <= ' ' || t.p[i] > '~') return false;
    return true;
}

/* RFC 8555 6.1: all of ACME is HTTPS. */
bool acme_url_read(struct text t, struct pool *pool, struct acme_url *out)
{
    struct uri_host h;
    if (t.n > ACME_URL_MOST || !is_printable(t) || !text_starts_nocase(t, T("https://"))) return false;
    struct text rest = text_from(t, strlen("https://"));
    size_t slash = 0;
    while (slash < rest.n && rest.p[slash] != '/' && rest.p[slash] != '?') slash++;
    struct text host = text_upto(rest, slash), target = text_from(rest, slash);
    if (text_find_char(rest, '#') >= 0 || text_find_char(host, '@') >= 0 || uri_host(host, pool, &h) != FAULT_NONE || !h.name.n) return false;
    *out = (struct acme_url) { .text = pool_text(pool, t), .host = pool_text(pool, h.name), .port = h.has_port && h.port ? h.port : 443 };
    if (h.is_ipv6) out->host = text_of(out->host.p + 1, out->host.n - 2);
    out->target = target.n && target.p[0] == '/' ? pool_text(pool, target) : pool_printf(pool, "/%.*s", TEXT_ARG(target));
    return true;
}

/* An address among the members; false: it is there, but is none, or is not there and needed. */
static bool read_url(const json_t *j, const char *name, bool needed, struct pool *pool, struct text *out)
{
    struct acme_url url;
    struct text t = member(j, name);
    *out = T("");
    if (!json_object_get(j, name)) return !needed;
    if (!acme_url_read(t, pool, &url)) return false;
    *out = url.text;
    return true;
}

/* For log lines: one line of printable ASCII. */
static void copy_words(struct text t, char *room, size_t size)
{
    size_t n = min_of(t.n, size - 1);
    for (size_t i = 0; i < n; i++) room[i] = t.p[i] < ' ' || t.p[i] > '~' ? '?' : t.p[i];
    room[n] = 0;
}

static bool read_status(const json_t *j, enum acme_status *out)
{
    static const char *const names[] = { "pending", "ready", "processing", "valid", "invalid", "deactivated", "expired", "revoked" };
    struct text t = member(j, "status");
    for (size_t i = 0; i < countof(names); i++) {
        if (!text_eq(t, text_c(names[i]))) continue;
        *out = (enum acme_status) i;
        return true;
    }
    return false;
}

/* ---- problems ---- */

static void read_problem(const json_t *j, struct acme_problem *out)
{
    static const char prefix[] = "urn:ietf:params:acme:error:";
    struct text type = member(j, "type"), detail = member(j, "detail");
    const json_t *one = json_array_get(json_object_get(j, "subproblems"), 0);
    char more[ACME_DETAIL_MOST / 2] = "";
    if (text_starts(type, text_c(prefix))) type = text_from(type, sizeof prefix - 1);
    copy_words(type.n ? type : T("about:blank"), out->type, sizeof out->type);
    copy_words(detail, out->detail, sizeof out->detail);
    copy_words(member(one, "detail"), more, sizeof more);
    size_t n = strlen(out->detail);
    if (more[0] && n + 3 < sizeof out->detail) snprintf(out->detail + n, sizeof out->detail - n, "; %s", more);
}

bool acme_answer_problem(struct text json, struct acme_problem *out)
{
    json_t *j = object_of(json);
    *out = (struct acme_problem) { .type = "" };
    bool is_one = j && (json_object_get(j, "type") || json_object_get(j, "detail"));
    if (is_one) read_problem(j, out);
    json_decref(j);
    return is_one;
}

/* ---- what there is at a server: RFC 8555 7.1.1 ---- */

static void free_json(void *j) { json_decref(j); }

const char *acme_answer_directory(struct text json, struct pool *pool, struct acme_directory *out)
{
    json_t *j = object_of(json);
    *out = (struct acme_directory) { .wants_binding = false };
    if (!j) return "the directory is no JSON object";
    pool_cleanup(pool, free_json, j);
    if (!read_url(j, "newNonce", true, pool, &out->new_nonce) || !read_url(j, "newAccount", true, pool, &out->new_account) || !read_url(j, "newOrder", true, pool, &out->new_order))
        return "the directory lacks newNonce, newAccount or newOrder, or they are no https addresses";
    if (!read_url(j, "renewalInfo", false, pool, &out->renewal_info)) return "the directory's renewalInfo is no https address";
    json_t *meta = json_object_get(j, "meta");
    struct text terms = member(meta, "termsOfService");
    char *room = pool_alloc(pool, ACME_URL_MOST);
    copy_words(terms, room, ACME_URL_MOST);
    out->terms = text_c(room);
    out->wants_binding = json_is_true(json_object_get(meta, "externalAccountRequired"));
    out->profiles = json_object_get(meta, "profiles");
    out->has_profiles = json_is_object(out->profiles);
    return NULL;
}

bool acme_answer_has_profile(const struct acme_directory *d, struct text name)
{
    return d->has_profiles && json_object_getn(d->profiles, name.p, name.n) != NULL;
}

const char *acme_answer_account(struct text json, enum acme_status *out)
{
    json_t *j = object_of(json);
    bool good = j && read_status(j, out);
    json_decref(j);
    return good ? NULL : "the account has no status";
}

/* ---- orders: RFC 8555 7.1.3 ---- */

static bool read_urls(const json_t *list, struct pool *pool, struct acme_order *out)
{
    const json_t *one;
    struct acme_url url;
    size_t i;
    if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > AUTHORIZATIONS_MOST) return false;
    out->authorizations = pool_array(pool, struct text, json_array_size(list));
    json_array_foreach(list, i, one) {
        if (!json_is_string(one) || !acme_url_read(text_of(json_string_value(one), json_string_length(one)), pool, &url)) return false;
        out->authorizations[out->count++] = url.text;
    }
    return true;
}

static const char *read_order(const json_t *j, struct pool *pool, struct acme_order *out)
{
    const json_t *error = json_object_get(j, "error");
    if (json_is_object(error)) read_problem(error, &out->problem);
    if (!read_status(j, &out->status)) return "the order has no status";
    if (out->status == ACME_INVALID) return NULL;
    if (!read_urls(json_object_get(j, "authorizations"), pool, out)) return "the order has no list of authorizations, or one of their addresses is wrong";
    if (!read_url(j, "finalize", true, pool, &out->finalize)) return "the order has no address to finalize it";
    return read_url(j, "certificate", out->status == ACME_VALID, pool, &out->certificate) ? NULL : "the order has no address of its certificate";
}

const char *acme_answer_order(struct text json, struct pool *pool, struct acme_order *out)
{
    json_t *j = object_of(json);
    *out = (struct acme_order) { .count = 0 };
    const char *wrong = j ? read_order(j, pool, out) : "the order is no JSON object";
    json_decref(j);
    return wrong;
}

/* RFC 8555 8.1: the base64url alphabet alone. */
static bool is_token(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (!(text_lower(c) >= 'a' && text_lower(c) <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return t.n && t.n <= ACME_TOKEN_MOST;
}

static const char *read_challenge(const json_t *list, struct text type, struct pool *pool, struct acme_authorization *out)
{
    const json_t *one;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) > CHALLENGES_MOST) return "the authorization has no list of challenges";
    json_array_foreach(list, i, one) {
        if (!text_eq(member(one, "type"), type)) continue;
        if (!read_status(one, &out->challenge) || !read_url(one, "url", true, pool, &out->url)) return "the challenge has no status or address";
        if (!is_token(member(one, "token"))) return "the challenge has no good token";
        out->token = pool_text(pool, member(one, "token"));
        if (json_is_object(json_object_get(one, "error"))) read_problem(json_object_get(one, "error"), &out->problem);
    }
    return NULL;
}

static const char *read_authorization(const json_t *j, struct text type, struct pool *pool, struct acme_authorization *out)
{
    const json_t *name = json_object_get(j, "identifier");
    if (!read_status(j, &out->status)) return "the authorization has no status";
    if (acme_name_read(pool, member(name, "value"), &out->name)) return "the authorization has no good identifier";
    if (!text_eq(member(name, "type"), out->name.ip ? T("ip") : T("dns"))) return "the authorization's identifier is of another type";
    out->wildcard = json_is_true(json_object_get(j, "wildcard"));
    return read_challenge(json_object_get(j, "challenges"), type, pool, out);
}

const char *acme_answer_authorization(struct text json, struct text type, struct pool *pool, struct acme_authorization *out)
{
    json_t *j = object_of(json);
    *out = (struct acme_authorization) { .wildcard = false };
    const char *wrong = j ? read_authorization(j, type, pool, out) : "the authorization is no JSON object";
    json_decref(j);
    return wrong;
}

/* ---- when to renew: RFC 9773 ---- */

static bool read_number(struct text *t, size_t digits, int *out)
{
    *out = 0;
    if (t->n < digits) return false;
    for (size_t i = 0; i < digits; i++) {
        if (t->p[i] < '0' || t->p[i] > '9') return false;
        *out = *out * 10 + (t->p[i] - '0');
    }
    *t = text_from(*t, digits);
    return true;
}

static bool skip(struct text *t, char c)
{
    if (!t->n || text_lower((unsigned char) t->p[0]) != text_lower((unsigned char) c)) return false;
    *t = text_from(*t, 1);
    return true;
}

/* RFC 3339 5.6: after the time of day. */
static bool read_zone(struct text *t, int64_t *offset_out)
{
    int hours, minutes;
    *offset_out = 0;
    if (skip(t, 'Z')) return true;
    bool plus = t->n && t->p[0] == '+';
    if (!skip(t, '+') && !skip(t, '-')) return false;
    if (!read_number(t, 2, &hours) || !skip(t, ':') || !read_number(t, 2, &minutes) || hours > 23 || minutes > 59) return false;
    *offset_out = (plus ? 1 : -1) * (hours * 3600 + minutes * 60);
    return true;
}

bool acme_answer_time(struct text t, int64_t *out)
{
    struct tm tm = { .tm_isdst = 0 };
    int64_t offset;
    if (!read_number(&t, 4, &tm.tm_year) || !skip(&t, '-') || !read_number(&t, 2, &tm.tm_mon) || !skip(&t, '-') || !read_number(&t, 2, &tm.tm_mday)) return false;
    if (!skip(&t, 'T') && !skip(&t, ' ')) return false;
    if (!read_number(&t, 2, &tm.tm_hour) || !skip(&t, ':') || !read_number(&t, 2, &tm.tm_min) || !skip(&t, ':') || !read_number(&t, 2, &tm.tm_sec)) return false;
    if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) return false;
    if (skip(&t, '.'))
        while (t.n && t.p[0] >= '0' && t.p[0] <= '9') t = text_from(t, 1);
    if (!read_zone(&t, &offset) || t.n) return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *out = (int64_t) timegm(&tm) - offset;
    return true;
}

const char *acme_answer_window(struct text json, struct acme_window *out)
{
    json_t *j = object_of(json), *window = json_object_get(j, "suggestedWindow");
    *out = (struct acme_window) { .from_s = 0 };
    bool good = acme_answer_time(member(window, "start"), &out->from_s) && acme_answer_time(member(window, "end"), &out->to_s) && out->to_s > out->from_s;
    copy_words(member(j, "explanationURL"), out->why, sizeof out->why);
    json_decref(j);
    return good ? NULL : "the renewal information has no good window";
}

/* ---- names ---- */

static bool is_label(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
    }
    return t.n && t.n <= 63 && t.p[0] != '-' && t.p[t.n - 1] != '-';
}

static bool read_address(struct pool *pool, struct text t, struct acme_name *out)
{
    char room[INET6_ADDRSTRLEN], shown[INET6_ADDRSTRLEN];
    struct in6_addr a;
    if (t.n > 2 && t.p[0] == '[' && t.p[t.n - 1] == ']') t = text_of(t.p + 1, t.n - 2);
    if (t.n >= sizeof room) return false;
    memcpy(room, t.p, t.n);
    room[t.n] = 0;
    int family = inet_pton(AF_INET, room, &a) == 1 ? AF_INET : inet_pton(AF_INET6, room, &a) == 1 ? AF_INET6 : 0;
    if (!family || !inet_ntop(family, &a, shown, sizeof shown)) return false;
    *out = (struct acme_name) { true, pool_text(pool, text_c(shown)) };
    return true;
}

const char *acme_name_read(struct pool *pool, struct text t, struct acme_name *out)
{
    struct text label;
    if (!t.n) return "it is empty";
    if (read_address(pool, t, out)) return NULL;
    if (t.p[t.n - 1] == '.') t.n--;
    if (t.n > ACME_NAME_MOST - 2) return "it is too long";
    char *lower = pool_bytes(pool, t.n);
    for (size_t i = 0; i < t.n; i++) lower[i] = (char) text_lower((unsigned char) t.p[i]);
    struct text rest = text_of(lower, t.n);
    if (t.n && t.p[0] == '*') return "a wildcard cannot be proved by http-01 or tls-alpn-01";
    while (text_split(&rest, '.', &label))
        if (!is_label(label)) return "it is neither a domain name nor an address";
    *out = (struct acme_name) { false, text_of(lower, t.n) };
    return NULL;
}
