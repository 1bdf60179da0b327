/* split_clients: a variable whose value is chosen by shares, from a hash of another text. */
#include "modules/module.h"

struct part { uint32_t below; bool rest; struct text value; };     /* takes hashes under below */
struct split { struct template *source; struct part *parts; size_t n, cap; uint64_t sum, last; struct variable variable; };

/* MurmurHash2 by Austin Appleby, seed 0: the same clients get the same values as behind nginx. */
static uint32_t murmur2(struct text t)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = (uint32_t) t.n;
    for (; t.n >= 4; t = text_from(t, 4)) {
        const unsigned char *p = (const unsigned char *) t.p;
        uint32_t k = p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = h * m ^ k;
    }
    for (size_t i = t.n; i-- > 0;) h ^= (uint32_t) (unsigned char) t.p[i] << 8 * i;
    if (t.n) h *= m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct split *s = v->data;
    uint32_t hash = murmur2(template_render(s->source, e));
    (void) name;
    *out = T("");
    for (size_t i = 0; i < s->n; i++) {
        if (!s->parts[i].rest && hash >= s->parts[i].below) continue;
        *out = s->parts[i].value;
        break;
    }
    return true;
}

/* "0.5%" in hundredths of a percent. */
static bool read_percent(struct text t, uint64_t *out)
{
    uint64_t whole = 0, digits = 0, after = 0;
    bool point = false;
    if (t.n < 2 || t.p[t.n - 1] != '%') return false;
    for (size_t i = 0; i + 1 < t.n; i++) {
        if (t.p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (t.p[i] < '0' || t.p[i] > '9' || (point && ++after > 2) || whole > 1000000) return false;
        whole = whole * 10 + (uint64_t) (t.p[i] - '0');
        digits++;
    }
    for (; after < 2; after++) whole *= 10;
    *out = whole;
    return digits && whole;
}

static conf_result read_entry(struct conf *cf, void *arg)
{
    struct split *s = arg;
    uint64_t share = 0;
    if (cf->count != 2) return "!invalid number of the split_clients parameters";
    bool rest = text_eq(cf->words[0], T("*"));
    if (!rest && !read_percent(cf->words[0], &share)) return conf_say(cf, "!invalid percent value \"%.*s\"", TEXT_ARG(cf->words[0]));
    s->sum = rest ? 10000 : s->sum + share;
    if (s->sum > 10000) return "!percent total is greater than 100%";
    s->last += share * UINT32_MAX / 10000;
    if (s->n == s->cap) s->parts = pool_grow(cf->pool, s->parts, s->n, &s->cap, sizeof *s->parts);
    s->parts[s->n++] = (struct part) { .below = (uint32_t) s->last, .rest = rest, .value = pool_text(cf->pool, cf->words[1]) };
    return NULL;
}

static conf_result parse_split(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    struct split *s = pool_new(cf->pool, struct split);
    struct text name = cf->words[2];
    if (!(s->source = template_compile(cf, cf->words[1], &why))) return why;
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    s->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE, .get = get, .data = s,
                                      .help = "A variable that split_clients gives its value." };
    why = variables_add(cf, variables_kind(variables_here(cf)), &s->variable);
    return why ? why : conf_entries(cf, read_entry, s);
}

static const struct conf_type type_split = { .syntax = "string $variable { ... }", .flags = CONF_MULTI | CONF_BLOCK, .min = 2, .max = 2, .parse = parse_split };

static const struct directive rows[] = {
    D_DO(&type_split, "split_clients", IN_HTTP | IN_STREAM, NULL, NULL, "Makes a variable that has each of some values for a share of clients, always the same for one client."),
    { .name = NULL },
};

struct module split_clients_module = { .name = "split_clients", .rows = rows };
