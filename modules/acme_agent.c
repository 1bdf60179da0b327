/*
 * acme_agent: who works for an issuer in the manager, one job at a time: it gets a certificate when one is due, asks the server when
 * that should be (RFC 9773), and tries again later, and more seldom, where that failed.
 */
#include "modules/acme.h"
#include <openssl/rand.h>
#include <stdarg.h>

enum { JOB_MS = 900000, ASK_S = 21600, ASK_LEAST_S = 60, ASK_MOST_S = 86400, FASTER = 6, DOUBLINGS_MOST = 20 };

static struct acme_conf *working;       /* for whose issuers; NULL: this process is no manager, or ends */

static uint64_t random_below(uint64_t n)
{
    uint64_t r = 0;
    return n && RAND_bytes((unsigned char *) &r, sizeof r) == 1 ? r % n : 0;
}

/* ---- the end of a job ---- */

static void end_job(struct acme_agent *a)
{
    timer_stop(&a->timer);
    fetch_close(&a->call.fetch);
    lookup_cancel(&a->call.lookup);
    pool_close(&a->call.pool);
    a->call.done = NULL;
    acme_order_end(a);
    a->order = (struct acme_order) { .count = 0 };
    a->order_url = T("");
    a->doing = NULL;
    a->certificate = NULL;
    pool_close(&a->pool);
}

void acme_agent_done(struct acme_agent *a)
{
    end_job(a);
    if (a->leaving) acme_desk_leave(a->issuer->desk);
}

/* Later each time, up to a limit; a network that is away is asked for sooner. */
static int64_t delay_of(const struct acme_issuer_conf *c, enum acme_fault how, uint32_t fails, int64_t retry_s)
{
    uint64_t ms = c->retry.least_ms / (how == ACME_UNREACHED ? FASTER : 1);
    for (uint32_t i = 1; i < fails && i < DOUBLINGS_MOST && ms < c->retry.most_ms; i++) ms *= 2;
    ms = min_of(ms, c->retry.most_ms);
    ms += random_below(ms / 4 + 1);
    int64_t s = (int64_t) (ms + 999) / 1000;
    return max_of(s, retry_s);
}

static void fail_asking(struct acme_agent *a, const char *why)
{
    struct acme_plan p = acme_shelf_plan(a->certificate->shelf);
    log_at(log_main, L_WARN, NULL, 0, "certificate \"%.*s\": when to renew it could not be asked of \"%.*s\": %s", TEXT_ARG(a->certificate->id), TEXT_ARG(a->issuer->name), why);
    p.ask_s = clock_now.wall + ASK_S;
    acme_shelf_set_plan(a->certificate->shelf, p);
    acme_store_save_plan(a->certificate);
}

static void fail_order(struct acme_agent *a, enum acme_fault how, int64_t retry_s, const char *why)
{
    struct acme_certificate *c = a->certificate;
    struct acme_plan p = acme_shelf_plan(c->shelf);
    p.fails++;
    int64_t delay = delay_of(a->issuer->conf, how, p.fails, retry_s);
    p.due_s = clock_now.wall + delay;
    p.least_s = clock_now.wall + retry_s;
    acme_shelf_set_plan(c->shelf, p);
    log_at(log_main, L_ERR, NULL, 0, "certificate \"%.*s\" of \"%.*s\": %s failed: %s; again in %lld s", TEXT_ARG(c->id), TEXT_ARG(a->issuer->name), a->doing ? a->doing : "getting it", why, (long long) delay);
}

void acme_agent_fail(struct acme_agent *a, enum acme_fault how, int64_t retry_s, const char *fmt, ...)
{
    char why[1200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    if (!a->leaving && a->asking) fail_asking(a, why);
    else if (!a->leaving) fail_order(a, how, retry_s, why);
    acme_agent_done(a);
}

void acme_agent_refused(struct acme_agent *a, const struct acme_reply *r)
{
    acme_agent_fail(a, ACME_REFUSED, r->retry_s, "%s%s%s", r->problem.type, r->problem.detail[0] ? ": " : "", r->problem.detail);
}

/* ---- waiting, and making keys ---- */

static void fire(struct timer *t)
{
    struct acme_agent *a = container_of(t, struct acme_agent, timer);
    if (clock_now.ms < a->until_ms) a->then(a, NULL);
    else acme_agent_fail(a, ACME_WRONG, 0, "the server takes too long");
}

void acme_agent_wait(struct acme_agent *a, uint64_t ms, acme_done *then)
{
    if (a->leaving) {
        acme_agent_done(a);
        return;
    }
    a->then = then;
    timer_set(&a->timer, ms);
}

static void make_key(struct thread_job *j)
{
    struct acme_agent *a = container_of(j, struct acme_agent, making.job);
    a->making.key = acme_key_make(a->making.kind);
    OPENSSL_thread_stop();      /* the random generator of this thread lies in memory that is kept from dumps: not left there */
}

static void free_agent(struct acme_agent *a)
{
    acme_call_end(a);
    acme_account_end(a);
    timer_end(&a->timer);
    free(a);
}

static void made_key(struct thread_job *j)
{
    struct acme_agent *a = container_of(j, struct acme_agent, making.job);
    EVP_PKEY *key = a->making.key;
    a->making.on = false;
    a->making.key = NULL;
    process_release();
    if (key && !a->leaving) {
        a->making.made(a, key);
        return;
    }
    EVP_PKEY_free(key);
    if (a->making.orphan) free_agent(a);
    else acme_agent_fail(a, ACME_WRONG, 0, "no key can be made");
}

void acme_agent_make_key(struct acme_agent *a, const struct acme_kind *k, void (*made)(struct acme_agent *a, EVP_PKEY *key))
{
    a->making.kind = k;
    a->making.made = made;
    a->making.on = true;
    a->making.job = (struct thread_job) { .work = make_key, .done = made_key };
    process_hold();
    if (!thread_post(thread_pool_get(T("acme"), 1, 64), &a->making.job)) {      /* then it is made here */
        make_key(&a->making.job);
        made_key(&a->making.job);
    }
}

/* ---- a certificate ---- */

/* To the workers, by way of their contexts. Nobody else lets a key go. */
static void hand_over(struct acme_certificate *c)
{
    struct acme_bytes chain, key;
    if (!acme_shelf_get(c->shelf, &chain, &key, &c->handed)) return;
    struct pool *scratch = pool_open(0);
    struct text key_word = pool_printf(scratch, "data:%.*s", TEXT_ARG(acme_bytes_text(key)));
    struct tls_pair pair = { pool_printf(scratch, "data:%.*s", TEXT_ARG(acme_bytes_text(chain))), key_word };
    struct tls_keyring none = { .password_count = 0 };
    if (c->issued.swaps) tls_swaps_put(c->issued.swaps, c->issued.name, &pair, &none, log_main);
    OPENSSL_cleanse((char *) (uintptr_t) key_word.p, key_word.n);
    pool_close(&scratch);
    acme_bytes_end(&chain);
    acme_bytes_end(&key);
}

/* At two thirds of its life, a little sooner or later than others. */
static int64_t usual_due(const struct acme_facts *f)
{
    int64_t life = f->to_s - f->from_s;
    return f->from_s + life * 2 / 3 - (int64_t) random_below((uint64_t) life / 50 + 1);
}

/* Not at once again, whatever a server says. */
static int64_t soonest(const struct acme_facts *f, int64_t taken_s) { return taken_s + min_of((int64_t) 3600, (f->to_s - f->from_s) / 20); }

void acme_agent_take(struct acme_agent *a, struct text chain, const struct acme_facts *f)
{
    struct acme_certificate *c = a->certificate;
    struct acme_bytes key = acme_key_write(a->new_key);
    struct acme_plan p = { .due_s = usual_due(f), .taken_s = clock_now.wall, .ask_s = a->directory.renewal_info.n ? clock_now.wall : 0 };
    p.due_s = max_of(p.due_s, soonest(f, p.taken_s));
    bool kept = acme_shelf_put(a->top->zone, c->shelf, a->issuer->url.text, chain, acme_bytes_text(key));
    if (kept) {
        acme_shelf_set_plan(c->shelf, p);
        acme_store_save(c, chain, acme_bytes_text(key));
        acme_shelf_set_order(a->top->zone, c->shelf, T(""), T(""));
        hand_over(c);
        log_at(log_main, L_NOTICE, NULL, 0, "certificate \"%.*s\" was issued by \"%.*s\": good for %lld s, to be renewed in %lld s", TEXT_ARG(c->id), TEXT_ARG(a->issuer->name),
            (long long) (f->to_s - clock_now.wall), (long long) (p.due_s - clock_now.wall));
    }
    acme_bytes_end(&key);
    a->account_renewed = false;
    if (kept) acme_agent_done(a);
    else acme_agent_fail(a, ACME_WRONG, 0, "there is no room for it");
}

/* ---- when: RFC 9773 4 ---- */

static bool facts_of(struct acme_certificate *c, struct acme_facts *f)
{
    struct acme_bytes chain;
    if (!acme_shelf_get(c->shelf, &chain, NULL, NULL)) return false;
    const char *wrong = acme_chain_read(acme_bytes_text(chain), NULL, NULL, 0, f);
    acme_bytes_end(&chain);
    return !wrong;
}

static void got_window(struct acme_agent *a, const struct acme_reply *r)
{
    struct acme_certificate *c = a->certificate;
    struct acme_plan p = acme_shelf_plan(c->shelf);
    struct acme_window w;
    struct acme_facts f;
    const char *wrong = r->refused ? r->problem.type : acme_answer_window(r->body, &w);
    if (wrong || !facts_of(c, &f)) {
        acme_agent_fail(a, ACME_WRONG, 0, "%s", wrong ? wrong : "it is gone");
        return;
    }
    int64_t at = w.from_s + (int64_t) random_below((uint64_t) (w.to_s - w.from_s));
    int64_t least = p.taken_s ? soonest(&f, p.taken_s) : 0, again = r->retry_s ? min_of(r->retry_s, (int64_t) ASK_MOST_S) : ASK_S;
    at = min_of(at, f.to_s);
    p.due_s = max_of(at, least);
    p.ask_s = clock_now.wall + max_of(again, (int64_t) ASK_LEAST_S);
    acme_shelf_set_plan(c->shelf, p);
    acme_store_save_plan(c);
    log_at(log_main, at <= clock_now.wall || w.why[0] ? L_NOTICE : L_INFO, NULL, 0, "certificate \"%.*s\": \"%.*s\" wants it renewed in %lld s%s%s", TEXT_ARG(c->id), TEXT_ARG(a->issuer->name),
        (long long) max_of(p.due_s - clock_now.wall, (int64_t) 0), w.why[0] ? ": see " : "", w.why);
    acme_agent_done(a);
}

static void ask_window(struct acme_agent *a, const struct acme_reply *none)
{
    (void) none;
    struct acme_facts f;
    struct acme_url url;
    struct text base = a->directory.renewal_info;
    bool slash = base.n && base.p[base.n - 1] == '/';
    bool good = base.n && facts_of(a->certificate, &f) && f.id[0] && acme_url_read(pool_printf(a->pool, "%.*s%s%s", TEXT_ARG(base), slash ? "" : "/", f.id), a->pool, &url);
    a->doing = "asking when to renew it";
    if (good) acme_call_get(a, url.text, got_window);
    else acme_agent_fail(a, ACME_WRONG, 0, "the server has no such information");
}

/* ---- what is to be done ---- */

static void begin(struct acme_agent *a, struct acme_certificate *c, bool asking)
{
    a->pool = pool_open(0);
    a->certificate = c;
    a->asking = asking;
    a->until_ms = clock_now.ms + JOB_MS;
    if (asking) acme_directory_need(a, ask_window);
    else acme_account_need(a, acme_order_begin);
}

/* The one that has been due longest. */
static void find_work(struct acme_agent *a)
{
    struct acme_certificate *next = NULL, *ask = NULL;
    int64_t now = clock_now.wall, oldest = INT64_MAX;
    for (struct acme_certificate *c = a->issuer->first; c; c = c->next) {
        struct acme_plan p = acme_shelf_plan(c->shelf);
        if (p.due_s <= now && p.due_s < oldest) next = c, oldest = p.due_s;
        if (p.ask_s && p.ask_s <= now && !ask) ask = c;
    }
    if (next) begin(a, next, false);
    else if (ask) begin(a, ask, true);
}

/* What was kept without saying when it is due; what another server issued; and after a reload what failed before: somebody may have
 * mended it. */
static void plan(struct acme_certificate *c)
{
    struct acme_plan p = acme_shelf_plan(c->shelf);
    struct acme_facts f;
    if (p.fails) p.due_s = p.least_s;
    else if (!acme_shelf_version(c->shelf) || !facts_of(c, &f)) return;
    else if (!acme_shelf_is_of(c->shelf, c->issuer->url.text)) p.due_s = 0;
    else if (!p.due_s || p.due_s > f.to_s) p.due_s = usual_due(&f);
    acme_shelf_set_plan(c->shelf, p);
}

static void work(struct acme_agent *a)
{
    if (!acme_desk_take(a->issuer->desk)) return;
    if (!a->took) for (struct acme_certificate *c = a->issuer->first; c; c = c->next) plan(c);
    a->took = true;
    if (!a->pool && !a->making.on) find_work(a);
}

void acme_agents_second(struct cycle *c)
{
    (void) c;
    for (struct acme_issuer *i = working ? working->first : NULL; i; i = i->next) {
        for (struct acme_certificate *k = i->first; k; k = k->next)
            if (acme_shelf_version(k->shelf) != k->handed) hand_over(k);
        if (!process_quitting) work(i->agent);
    }
}

/* What is under way is finished as far as the answer that is waited for; the next manager goes on from there. */
void acme_agents_quit(struct cycle *c)
{
    (void) c;
    for (struct acme_issuer *i = working ? working->first : NULL; i; i = i->next) {
        struct acme_agent *a = i->agent;
        a->leaving = true;
        if (!a->call.fetch && !a->making.on) acme_agent_done(a);
        fetch_kept_close(&a->call.kept);
    }
}

/* A process that is master and manager in one: the generation before ends here. */
static void end_all(void)
{
    for (struct acme_issuer *i = working ? working->first : NULL; i; i = i->next) {
        struct acme_agent *a = i->agent;
        i->agent = NULL;
        a->leaving = true;
        acme_agent_done(a);
        a->making.orphan = a->making.on;
        if (!a->making.on) free_agent(a);
    }
    working = NULL;
}

void acme_agents_start(struct cycle *c)
{
    struct acme_conf *top = acme_top(c->conf);
    end_all();
    for (struct acme_issuer *i = top->first; i; i = i->next) {
        struct acme_agent *a = i->agent = base_zalloc(1, sizeof *a);
        a->issuer = i;
        a->top = top;
        a->timer.fire = fire;
    }
    working = top;
    acme_agents_second(c);
}
