/* acme: any bytes as each of the answers of an ACME server. What is taken is bounded, and fit for log lines and paths. */
#include "modules/acme.h"
#include "t/fuzz/fuzz.h"

static void check_words(const char *s)
{
    for (; *s; s++) HOLD(*s >= ' ' && *s <= '~');
}

static void check_url(struct text t)
{
    HOLD(t.n <= ACME_URL_MOST && (!t.n || text_starts_nocase(t, T("https://"))) && fuzz_one_line(t));
}

static void check_authorization(struct text in, struct pool *pool)
{
    struct acme_authorization z;
    if (acme_answer_authorization(in, T("http-01"), pool, &z)) return;
    HOLD(z.token.n <= ACME_TOKEN_MOST && text_find_char(z.token, '/') < 0 && text_find_char(z.token, '.') < 0 && fuzz_one_line(z.token));
    HOLD(z.name.text.n && z.name.text.n <= ACME_NAME_MOST && text_find_char(z.name.text, '/') < 0 && fuzz_one_line(z.name.text));
    HOLD(!z.url.n == !z.token.n);
    check_url(z.url);
    check_words(z.problem.detail);
}

static void check_order(struct text in, struct pool *pool)
{
    struct acme_order o;
    if (acme_answer_order(in, pool, &o)) return;
    HOLD(o.count <= ACME_NAMES_MOST && (o.count || o.status == ACME_INVALID));
    for (size_t i = 0; i < o.count; i++) check_url(o.authorizations[i]);
    check_url(o.finalize);
    check_url(o.certificate);
    check_words(o.problem.type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = fuzz_exact((const char *) data, size);
    struct text in = { exact, size };
    struct pool *pool = pool_open(0);
    struct acme_directory d;
    struct acme_problem p;
    struct acme_window w;
    struct acme_facts f;
    enum acme_status status;
    if (!acme_answer_directory(in, pool, &d)) {
        check_url(d.new_nonce);
        check_url(d.renewal_info);
        check_words(d.terms.p);
    }
    check_order(in, pool);
    check_authorization(in, pool);
    if (acme_answer_problem(in, &p)) check_words(p.detail);
    if (!acme_answer_window(in, &w)) {
        HOLD(w.to_s > w.from_s);
        check_words(w.why);
    }
    (void) acme_answer_account(in, &status);
    acme_chain_read(in, NULL, NULL, 0, &f);
    acme_chain_ends_at(in, T("x"));
    pool_close(&pool);
    free(exact);
    return 0;
}
