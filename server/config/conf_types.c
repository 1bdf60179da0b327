#include "config/conf.h"

/* ---- scalars ---- */

/* nginx's order of units: each may come once, from large to small. */
enum step { STEP_START, STEP_YEAR, STEP_MONTH, STEP_WEEK, STEP_DAY, STEP_HOUR, STEP_MIN, STEP_SEC, STEP_MSEC, STEP_LAST };

static const struct { char name; enum step step; uint64_t ms; } units[] = {
    { 'y', STEP_YEAR, 365ull * 86400000 }, { 'M', STEP_MONTH, 30ull * 86400000 }, { 'w', STEP_WEEK, 7ull * 86400000 },
    { 'd', STEP_DAY, 86400000 }, { 'h', STEP_HOUR, 3600000 }, { 'm', STEP_MIN, 60000 }, { 's', STEP_SEC, 1000 },
};

/* The unit at *p, which may not be above or equal to the step before; false: none such. */
static bool read_unit(const char **p, const char *end, enum step *step, uint64_t *scale)
{
    char c = *(*p)++;
    if (c == 'm' && *p < end && **p == 's') {
        (*p)++;
        if (*step >= STEP_MSEC) return false;
        *step = STEP_MSEC;
        *scale = 1;
        return true;
    }
    if (c == ' ') {                    /* "1m 30": what follows are seconds */
        if (*step >= STEP_SEC) return false;
        *step = STEP_LAST;
        *scale = 1000;
        return true;
    }
    for (size_t i = 0; i < countof(units); i++) {
        if (units[i].name != c) continue;
        if (*step >= units[i].step) return false;
        *step = units[i].step;
        *scale = units[i].ms;
        return true;
    }
    return false;
}

static bool add_scaled(uint64_t *total, uint64_t value, uint64_t scale)
{
    uint64_t add;
    if (__builtin_mul_overflow(value, scale, &add) || __builtin_add_overflow(*total, add, total)) return false;
    return *total <= INT64_MAX;
}

bool conf_read_span(struct text t, uint64_t *ms_out)
{
    const char *p = t.p, *end = t.p + t.n;
    uint64_t total = 0, value = 0, scale;
    enum step step = STEP_START;
    bool any = false;
    while (p < end) {
        if (*p >= '0' && *p <= '9') {
            uint64_t digit = (uint64_t) (*p++ - '0');
            if (value > (INT64_MAX - digit) / 10) return false;
            value = value * 10 + digit;
            any = true;
            continue;
        }
        if (!read_unit(&p, end, &step, &scale) || !add_scaled(&total, value, scale)) return false;
        value = 0;
        while (p < end && *p == ' ') p++;
    }
    if (!any || !add_scaled(&total, value, 1000)) return false;
    *ms_out = total;
    return true;
}

bool conf_read_bytes(struct text t, uint64_t *out)
{
    uint64_t value;
    unsigned shift = 0;
    if (!t.n) return false;
    switch (t.p[t.n - 1]) {
    case 'k': case 'K': shift = 10; t.n--; break;
    case 'm': case 'M': shift = 20; t.n--; break;
    case 'g': case 'G': shift = 30; t.n--; break;
    }
    if (!text_u64(t, &value) || value > (uint64_t) INT64_MAX >> shift) return false;
    *out = value << shift;
    return true;
}

bool conf_read_flag(struct text t, bool *on_out)
{
    *on_out = text_eq_nocase(t, T("on"));
    return *on_out || text_eq_nocase(t, T("off"));
}

/* ---- types ---- */

static conf_result parse_flag(struct conf *cf, const struct directive *d, void *field)
{
    bool on;
    if (!conf_read_flag(cf->words[1], &on))
        return conf_say(cf, "!invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"", cf->words[1].p, d->name);
    ((flag *) field)->on = on;
    return NULL;
}

static conf_result parse_span(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    return conf_read_span(cf->words[1], &((span *) field)->ms) ? NULL : conf_invalid;
}

static conf_result parse_span_off(struct conf *cf, const struct directive *d, void *field)
{
    return text_eq(cf->words[1], T("off")) ? NULL : parse_span(cf, d, field);
}

static conf_result parse_bytes(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    return conf_read_bytes(cf->words[1], &((bytes *) field)->bytes) ? NULL : conf_invalid;
}

static conf_result parse_bytes_off(struct conf *cf, const struct directive *d, void *field)
{
    return text_eq(cf->words[1], T("off")) ? NULL : parse_bytes(cf, d, field);
}

static conf_result parse_num(struct conf *cf, const struct directive *d, void *field)
{
    const struct conf_bounds *bounds = d->data;
    uint64_t value;
    if (!text_u64(cf->words[1], &value) || value > INT64_MAX)
        return conf_say(cf, "!invalid number \"%s\" in \"%s\" directive", cf->words[1].p, d->name);
    int64_t n = *(int64_t *) field = (int64_t) value;
    if (!bounds) return NULL;
    if (bounds->max < bounds->min && n < bounds->min)
        return conf_say(cf, "!value must be equal to or greater than %lld", (long long) bounds->min);
    if (bounds->max >= bounds->min && (n < bounds->min || n > bounds->max))
        return conf_say(cf, "!value must be between %lld and %lld", (long long) bounds->min, (long long) bounds->max);
    return NULL;
}

static struct text keep(struct conf *cf, struct text word)
{
    return text_of(pool_cstr(cf->pool, word), word.n);
}

static conf_result parse_text(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = keep(cf, cf->words[1]);
    return NULL;
}

static conf_result parse_path(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = conf_full_path(cf, cf->words[1], false);
    return NULL;
}

static conf_result parse_bufs(struct conf *cf, const struct directive *d, void *field)
{
    uint64_t n, size;
    (void) d;
    if (!text_u64(cf->words[1], &n) || !n || n > UINT32_MAX) return conf_invalid;
    if (!conf_read_bytes(cf->words[2], &size) || !size || size > UINT32_MAX)
        return conf_say(cf, "!invalid value \"%s\" in \"%s\" directive", cf->words[2].p, d->name);
    *(bufs *) field = (bufs) { (uint32_t) n, (uint32_t) size };
    return NULL;
}

static const struct conf_choice *choose(const struct directive *d, struct text word)
{
    const struct conf_choice *c = d->data;
    ASSERT(c);
    while (c->name && !text_eq_nocase(word, text_c(c->name))) c++;
    return c->name ? c : NULL;
}

static conf_result parse_enum(struct conf *cf, const struct directive *d, void *field)
{
    const struct conf_choice *c = choose(d, cf->words[1]);
    if (!c) return conf_invalid;
    *(int *) field = c->value;
    return NULL;
}

static conf_result parse_bits(struct conf *cf, const struct directive *d, void *field)
{
    unsigned *bits = field;
    for (size_t i = 1; i < cf->count; i++) {
        const struct conf_choice *c = choose(d, cf->words[i]);
        if (!c) return conf_say(cf, "!invalid value \"%s\" in \"%s\" directive", cf->words[i].p, d->name);
        unsigned bit = (unsigned) c->value;
        if (bit && (*bits & bit) == bit) conf_warn(cf, "duplicate value \"%s\"", cf->words[i].p);
        *bits |= bit;
    }
    return NULL;
}

static conf_result parse_texts(struct conf *cf, const struct directive *d, void *field)
{
    struct conf_texts *list = field;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
        list->v[list->n++] = keep(cf, cf->words[i]);
    }
    return NULL;
}

/* Nothing is kept; words are held to the syntax where it is that of a simple type. */
static conf_result parse_none(struct conf *cf, const struct directive *d, void *field)
{
    static const struct conf_type *const simple[] = { &conf_flag, &conf_span, &conf_span_off, &conf_bytes, &conf_bytes_off, &conf_num, &conf_bufs };
    uint64_t ignored[2];
    (void) field;
    for (size_t i = 0; d->syntax && i < countof(simple); i++) {
        if (strcmp(d->syntax, simple[i]->syntax)) continue;
        if (cf->count - 1 != simple[i]->max) return conf_say(cf, "!invalid number of arguments in \"%s\" directive", d->name);
        return simple[i]->parse(cf, d, ignored);
    }
    return NULL;
}

/* "user:rw group:r all:r" */
static conf_result parse_access(struct conf *cf, const struct directive *d, void *field)
{
    static const struct { struct text name; unsigned shift; } whose[] = { { TEXT_INIT("user:"), 6 }, { TEXT_INIT("group:"), 3 }, { TEXT_INIT("all:"), 0 } };
    mode_t mode = 0, user = 0600;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        struct text word = cf->words[i], right;
        size_t k = 0;
        while (k < countof(whose) && !text_starts(word, whose[k].name)) k++;
        if (k == countof(whose)) return conf_invalid;
        right = text_from(word, whose[k].name.n);
        if (!text_eq(right, T("rw")) && !text_eq(right, T("r"))) return conf_invalid;
        if (k == 0) user = 0;
        mode |= (right.n == 2 ? 6u : 4u) << whose[k].shift;
    }
    *(mode_t *) field = mode | user;
    return NULL;
}

const struct conf_type conf_flag      = { "on | off",    sizeof(flag),              0,          1, 1,        parse_flag };
const struct conf_type conf_span      = { "time",        sizeof(span),              0,          1, 1,        parse_span };
const struct conf_type conf_span_off  = { "time | off",  sizeof(span),              0,          1, 1,        parse_span_off };
const struct conf_type conf_bytes     = { "size",        sizeof(bytes),             0,          1, 1,        parse_bytes };
const struct conf_type conf_bytes_off = { "size | off",  sizeof(bytes),             0,          1, 1,        parse_bytes_off };
const struct conf_type conf_num       = { "number",      sizeof(int64_t),           0,          1, 1,        parse_num };
const struct conf_type conf_text      = { "string",      sizeof(struct text),       0,          1, 1,        parse_text };
const struct conf_type conf_path      = { "path",        sizeof(struct text),       0,          1, 1,        parse_path };
const struct conf_type conf_bufs      = { "number size", sizeof(bufs),              0,          2, 2,        parse_bufs };
const struct conf_type conf_enum      = { "value",       sizeof(int),               0,          1, 1,        parse_enum };
const struct conf_type conf_bits      = { "value ...",   sizeof(unsigned),          0,          1, UINT32_MAX, parse_bits };
const struct conf_type conf_texts     = { "string ...",  sizeof(struct conf_texts), CONF_MULTI, 1, UINT32_MAX, parse_texts };
const struct conf_type conf_access    = { "users:permissions ...", sizeof(mode_t),      0,          1, 3, parse_access };
const struct conf_type conf_none      = { "value ...",   0, CONF_MULTI | CONF_NO_EFFECT,        0, UINT32_MAX, parse_none };
