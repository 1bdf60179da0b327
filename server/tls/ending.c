#include "tls/ending.h"
#include "tls/pair.h"

enum { DAY_S = 86400 };

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t) timegm(&tm) : INT64_MAX;
}

bool tls_ending_read(struct text from, struct tls_ending *out)
{
    struct tls_loaded l = { 0 };
    ERR_clear_error();
    bool fine = !tls_pair_certificate(from, &l);
    if (fine) {
        const EVP_PKEY *key = X509_get0_pubkey(l.leaf);
        *out = (struct tls_ending) { seconds_of(X509_get0_notAfter(l.leaf)), key ? EVP_PKEY_get_base_id(key) : NID_undef };
        for (int i = 0; i < sk_X509_num(l.chain); i++) out->s = min_of(out->s, seconds_of(X509_get0_notAfter(sk_X509_value(l.chain, i))));
    }
    tls_loaded_drop(&l);
    ERR_clear_error();
    return fine;
}

const char *tls_ending_kind(int kind)
{
    const char *name = OBJ_nid2sn(kind);
    return name ? name : "unknown";
}

unsigned tls_ending_stage(int64_t ends_s, int64_t now_s)
{
    static const int64_t most_days[] = { 30, 14, 7, 1, 0 };
    unsigned stage = 0;
    while (stage < countof(most_days) && ends_s <= now_s + most_days[stage] * DAY_S) stage++;
    return stage;
}

/* "Nov 30 12:00:00 2026 GMT" */
static void print_date(int64_t s, char *room, size_t size)
{
    struct tm tm;
    time_t t = (time_t) s;
    if (!gmtime_r(&t, &tm) || strftime(room, size, "%b %e %H:%M:%S %Y GMT", &tm) == 0) room[0] = 0;
}

void tls_ending_tell(struct text name, int64_t ends_s, int64_t now_s, uint32_t *told, const struct log *log)
{
    unsigned stage = tls_ending_stage(ends_s, now_s);
    char date[64];
    if (stage <= *told) return;
    *told = stage;
    print_date(ends_s, date, sizeof(date));
    int64_t days = (ends_s - now_s + DAY_S - 1) / DAY_S;
    if (stage == TLS_ENDING_STAGES) log_at(log, L_ERR, NULL, 0, "certificate \"%.*s\" has expired, on %s", TEXT_ARG(name), date);
    else log_at(log, L_WARN, NULL, 0, "certificate \"%.*s\" expires in %lld day%s, on %s", TEXT_ARG(name), (long long) days, days == 1 ? "" : "s", date);
}
