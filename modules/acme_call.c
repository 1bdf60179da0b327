/* acme_call: one request to an ACME server, and its answer (RFC 8555 6): signed, with a nonce, over HTTPS to whom we trust. */
#include "modules/acme.h"
#include "upstream/resolver.h"
#include "wire/date.h"
#include "weir_config.h"

enum { DEADLINE_MS = 30000, CONNECT_MS = 10000, KEEP_MS = 15000, NONCES_MOST = 12, BREAKS_MOST = 2, RETRY_MOST_S = 7 * 86400 };

static void send_call(struct acme_agent *a);

void acme_call_end(struct acme_agent *a)
{
    fetch_close(&a->call.fetch);
    fetch_kept_close(&a->call.kept);
    lookup_cancel(&a->call.lookup);
    pool_close(&a->call.pool);
    a->call.done = NULL;
}

/* ---- the answer ---- */

/* RFC 8555 6.5.1 */
static void keep_nonce(struct acme_agent *a, const struct fetch *f)
{
    const struct field *n = fields_find_name(&f->fields, T("Replay-Nonce"));
    a->nonce[0] = 0;
    if (!n || !n->value.n || n->value.n >= sizeof a->nonce) return;
    for (size_t i = 0; i < n->value.n; i++) {
        unsigned char c = (unsigned char) n->value.p[i], low = text_lower(c);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') return;
    }
    memcpy(a->nonce, n->value.p, n->value.n);
    a->nonce[n->value.n] = 0;
}

/* RFC 9110 10.2.3 */
static int64_t read_retry(const struct fetch *f)
{
    const struct field *r = fields_find_name(&f->fields, T("Retry-After"));
    uint64_t n;
    time_t at;
    if (!r) return 0;
    if (text_u64(r->value, &n)) return (int64_t) min_of(n, (uint64_t) RETRY_MOST_S);
    return date_parse(r->value, &at) && at > clock_now.wall ? min_of((int64_t) (at - clock_now.wall), (int64_t) RETRY_MOST_S) : 0;
}

static struct text shown(const struct acme_agent *a) { return a->call.signing_nonce ? a->directory.new_nonce : a->call.url.text; }

static void read_refusal(const struct fetch *f, struct acme_reply *r)
{
    r->refused = f->status >= 400;
    if (r->refused && !acme_answer_problem(f->body, &r->problem)) snprintf(r->problem.type, sizeof r->problem.type, "status %u", f->status);
}

/* The agent may call again from within. */
static void tell(struct acme_agent *a, struct acme_reply *r)
{
    struct fetch *f = a->call.fetch;
    struct pool *pool = a->call.pool;
    acme_done *done = a->call.done;
    a->call.fetch = NULL;
    a->call.pool = NULL;
    a->call.done = NULL;
    done(a, r);
    fetch_close(&f);
    pool_close(&pool);
}

static void take_answer(struct acme_agent *a, const struct fetch *f)
{
    const struct field *location = fields_find_name(&f->fields, T("Location"));
    struct acme_reply r = { .status = f->status, .body = f->body, .location = location ? location->value : T(""), .retry_s = read_retry(f), .fields = &f->fields };
    read_refusal(f, &r);
    if (strcmp(r.problem.type, "badNonce") == 0 && a->call.tries++ < NONCES_MOST) send_call(a);
    else if (f->status >= 300 && f->status < 400) acme_agent_fail(a, ACME_WRONG, 0, "%.*s answered with status %u: redirections are not followed", TEXT_ARG(shown(a)), f->status);
    else tell(a, &r);
}

static void take_nonce(struct acme_agent *a, const struct fetch *f)
{
    a->call.signing_nonce = false;
    if (f->status < 300 && a->nonce[0]) send_call(a);
    else acme_agent_fail(a, ACME_WRONG, read_retry(f), "%.*s answered with status %u and %s nonce", TEXT_ARG(a->directory.new_nonce), f->status, a->nonce[0] ? "a" : "no good");
}

static void start_fetch(struct acme_agent *a);

static void fail_call(struct acme_agent *a, struct fetch *f, enum fetch_end how)
{
    if ((how == FETCH_UNREACHED || how == FETCH_TIMEOUT) && a->call.addr + 1 < a->call.addr_count) {
        a->call.addr++;
        fetch_close(&a->call.fetch);
        start_fetch(a);
    } else if (how == FETCH_BROKEN && a->call.tries++ < BREAKS_MOST) {
        a->nonce[0] = 0;
        send_call(a);
    } else {
        acme_agent_fail(a, how == FETCH_BAD || how == FETCH_LARGE ? ACME_WRONG : ACME_UNREACHED, 0, "%.*s: %s", TEXT_ARG(shown(a)), f->why);
    }
}

static void fetched(struct fetch *f, enum fetch_end how)
{
    struct acme_agent *a = f->arg;
    if (how != FETCH_DONE) {
        fail_call(a, f, how);
        return;
    }
    log_at(log_main, L_DEBUG, NULL, 0, "acme: %.*s: status %u", TEXT_ARG(shown(a)), f->status);
    keep_nonce(a, f);
    if (a->call.signing_nonce) take_nonce(a, f);
    else take_answer(a, f);
}

/* ---- the request ---- */

static struct text make_body(struct acme_agent *a)
{
    struct build b = build_in_pool(a->call.pool, 4096, 0);
    bool signed_ = acme_jws_sign(a->key, a->call.bare ? T("") : acme_bytes_text(a->kid), text_c(a->nonce), a->call.url.text, a->call.payload, &b);
    return signed_ ? build_done(&b) : T("");
}

static struct text make_host(struct acme_agent *a, const struct acme_url *u)
{
    bool v6 = text_find_char(u->host, ':') >= 0;
    struct text host = v6 ? pool_printf(a->call.pool, "[%.*s]", TEXT_ARG(u->host)) : u->host;
    return u->port == 443 ? host : pool_printf(a->call.pool, "%.*s:%u", TEXT_ARG(host), u->port);
}

static const struct acme_url *target_of(struct acme_agent *a, struct acme_url *room)
{
    if (!a->call.signing_nonce) return &a->call.url;
    ASSERT(acme_url_read(a->directory.new_nonce, a->call.pool, room));
    return room;
}

static void start_fetch(struct acme_agent *a)
{
    struct acme_url room;
    const struct acme_url *u = target_of(a, &room);
    bool post = a->call.post && !a->call.signing_nonce;
    struct text body = post ? make_body(a) : T("");
    if (post && !body.n) {
        tls_log(log_main, L_ERR, NULL, 0, "acme issuer \"%.*s\": a request cannot be signed", TEXT_ARG(a->issuer->name));
        acme_agent_fail(a, ACME_WRONG, 0, "the account's key does not sign");
        return;
    }
    const struct field fields[] = {
        { .name = T("User-Agent"), .value = T("weir/" WEIR_VERSION) }, { .name = T("Content-Type"), .value = post ? T("application/jose+json") : T("") }, { .name = T("Accept"), .value = T("*/*") },
    };
    struct fetch_want w = {
        .to = &a->call.addrs[a->call.addr], .tls = a->issuer->tls, .tls_name = u->host, .method = post ? T("POST") : a->call.signing_nonce ? T("HEAD") : T("GET"),
        .target = u->target, .host = make_host(a, u), .fields = fields, .field_count = countof(fields), .body = body, .deadline_ms = DEADLINE_MS, .connect_ms = CONNECT_MS,
        .body_most = ACME_ANSWER_MOST, .kept = &a->call.kept, .keepalive_ms = KEEP_MS, .done = fetched, .arg = a,
    };
    a->call.fetch = fetch_start(&w);
}

static void found(struct lookup *l)
{
    struct acme_agent *a = container_of(l, struct acme_agent, call.lookup);
    if (l->how != LOOKUP_FOUND) {
        acme_agent_fail(a, ACME_UNREACHED, 0, "%.*s: the name could not be resolved (%s)", TEXT_ARG(shown(a)), lookup_why(l->how));
        return;
    }
    a->call.addr_count = min_of(l->count, countof(a->call.addrs));
    memcpy(a->call.addrs, l->addrs, a->call.addr_count * sizeof a->call.addrs[0]);
    start_fetch(a);
}

static void send_call(struct acme_agent *a)
{
    struct acme_url room;
    fetch_close(&a->call.fetch);
    if (a->call.post && !a->nonce[0] && !a->call.signing_nonce) a->call.signing_nonce = true;
    const struct acme_url *u = target_of(a, &room);
    char name[sizeof a->call.at];
    snprintf(name, sizeof name, "%.*s:%u", TEXT_ARG(u->host), u->port);
    if (a->call.kept.conn && strcmp(name, a->call.at) == 0) {
        start_fetch(a);
        return;
    }
    fetch_kept_close(&a->call.kept);
    memcpy(a->call.at, name, sizeof name);
    a->call.addr = 0;
    a->call.lookup.done = found;
    lookup_start(resolver_of(a->top->resolver), &a->call.lookup, LOOKUP_HOST, u->host, u->port, a->top->resolver->timeout.ms);
}

static void start(struct acme_agent *a, struct text url, bool post, bool bare, struct text payload, acme_done *done)
{
    ASSERT(!a->call.done && !a->call.fetch);
    if (a->leaving) {
        acme_agent_done(a);
        return;
    }
    a->call.pool = pool_open(0);
    a->call.post = post;
    a->call.bare = bare;
    a->call.signing_nonce = false;
    a->call.tries = 0;
    a->call.done = done;
    a->call.payload = pool_text(a->call.pool, payload);
    ASSERT(acme_url_read(url, a->call.pool, &a->call.url));
    send_call(a);
}

void acme_call_post(struct acme_agent *a, struct text url, struct text payload, acme_done *done) { start(a, url, true, false, payload, done); }
void acme_call_bare(struct acme_agent *a, struct text url, struct text payload, acme_done *done) { start(a, url, true, true, payload, done); }
void acme_call_get(struct acme_agent *a, struct text url, acme_done *done) { start(a, url, false, false, T(""), done); }
