/* charset: the charset that a response names, and recoding from another by tables (charset_map). */
#include "modules/module.h"
#include "http/type_set.h"

enum { NAME_OFF, NAME_TEXT, NAME_VARIABLE };
enum { CODE_MOST = 4 };            /* bytes of one UTF-8 code */

/* "charset x", "charset $x", "charset off" */
struct charset_name { int kind; struct text text; unsigned index; };
/* One direction of a charset_map. Single bytes to UTF-8 or to single bytes: by byte. From UTF-8: code[c >> 8][c & 255]. */
struct recoding {
    struct recoding *next;
    struct text      from, to;
    struct text      bytes[256];   /* what each byte becomes */
    const uint8_t   *code[256];    /* 0: the target has no such character; NULL: none of the 256 */
    bool             from_utf8, to_utf8;
};
struct charset_conf {
    struct charset_name  charset, source;
    flag                 override;
    struct type_set      types;
    struct recoding     *recodings;      /* all there are; the same in every block */
    struct table        *names;          /* likewise: of equal names the first spelling is what responses say */
};
struct recode { const struct recoding *by; char held[CODE_MOST]; size_t held_n; struct chunk *chunk; size_t from, used; };

extern struct module charset_module;

static const struct charset_conf *conf_of(const struct request *r) { return request_values(r, &charset_module); }

static const struct recoding *find(struct text from, struct text to, const struct recoding *list)
{
    while (list && !(text_eq_nocase(list->from, from) && text_eq_nocase(list->to, to))) list = list->next;
    return list;
}

/* ---- the head ---- */

/* False: the variable has no value. */
static bool name_of(struct request *r, const struct charset_name *n, struct text *out)
{
    *out = n->text;
    if (n->kind != NAME_VARIABLE) return true;
    struct value v = eval_get(&r->eval, n->index);
    *out = value_text(v);
    return v.state == VALUE_FOUND;
}

/* The charset that the response names, in whatever form; *type_out: its type without that. */
static struct text named(const struct request *r, struct text *type_out)
{
    struct text rest = r->out.type, part;
    *type_out = r->out.type;
    if (r->out.charset.n) return r->out.charset;
    while (text_split(&rest, ';', &part)) {
        struct text t = text_trim(part);
        if (part.p == r->out.type.p || !text_starts_nocase(t, T("charset="))) continue;
        *type_out = text_upto(r->out.type, (size_t) (part.p - 1 - r->out.type.p));
        t = text_from(t, strlen("charset="));
        if (t.n >= 2 && t.p[0] == '"' && t.p[t.n - 1] == '"') t = text_of(t.p + 1, t.n - 2);
        return t;
    }
    return T("");
}

/* The charset that the response shall have, which says it has from (empty: none); false: as it is. */
static bool target_of(struct request *r, struct text from, struct text *out)
{
    const struct charset_conf *c = conf_of(r);
    if (r->main != r) {
        *out = r->main->out.charset;
        return out->n != 0;
    }
    if (!r->out.type.n) return false;
    if (r->out.wanted_charset.n) {
        bool known = c->names && table_get(c->names, r->out.wanted_charset);
        *out = r->out.wanted_charset;
        if (!known) request_log(r, L_ERR, 0, "unknown charset \"%.*s\" to override", TEXT_ARG(r->out.wanted_charset));
        return known;
    }
    if (c->charset.kind == NAME_OFF) return false;
    if (from.n ? !c->override.on : !type_set_has(&c->types, r)) return false;
    return name_of(r, &c->charset, out);
}

static void set_charset(struct request *r, struct text type, struct text to)
{
    if (r->main != r) return;
    r->out.type = type;
    r->out.charset = r->out.status == 301 || r->out.status == 302 ? T("") : to;
}

static void forget(void *arg)
{
    chunk_drop(&((struct recode *) arg)->chunk);
}

static bool begin(struct request *r, struct filter_at *at, struct text type, struct text from, struct text to)
{
    const struct field *coded = fields_find(&r->out.fields, FIELD_CONTENT_ENCODING);
    if (coded && coded->value.n) return false;
    const struct recoding *by = find(from, to, conf_of(r)->recodings);
    if (!by) {
        request_log(r, L_ERR, 0, "no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"", TEXT_ARG(from), TEXT_ARG(to));
        return false;
    }
    set_charset(r, type, to);
    if ((by->from_utf8 || by->to_utf8) && r->main == r) r->out.length = -1;
    struct recode *s = pool_new(r->pool, struct recode);
    s->by = by;
    pool_cleanup(r->pool, forget, s);
    at->state = s;
    return true;
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct charset_conf *c = conf_of(r);
    if (r->main == r && c->charset.kind == NAME_OFF && !r->out.wanted_charset.n) return false;
    struct text type, from = named(r, &type), to;
    if (!target_of(r, from, &to)) return false;
    if (!from.n && c->source.kind == NAME_OFF) {
        set_charset(r, type, to);
        return false;
    }
    if (!from.n && !name_of(r, &c->source, &from)) return false;
    if (text_eq_nocase(from, to)) {
        set_charset(r, type, to);
        return false;
    }
    return begin(r, at, type, from, to);
}

/* ---- the body ---- */

/* What was put since the last call becomes a link. */
static void collect(struct recode *s, struct chain *out)
{
    if (!s->chunk) return;
    chain_add_chunk(out, s->chunk, s->chunk->data + s->from, s->used - s->from);
    s->from = s->used;
}

static void put(struct recode *s, struct chain *out, const char *p, size_t n)
{
    if (s->chunk && s->chunk->size - s->used < n) {
        collect(s, out);
        chunk_drop(&s->chunk);
    }
    if (!s->chunk) {
        s->chunk = chunk_open(CHUNK_USUAL);
        s->from = s->used = 0;
    }
    memcpy(s->chunk->data + s->used, p, n);
    s->used += n;
}

/* Length of the code that begins with c; 0: none does. RFC 3629 3 */
static size_t code_length(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
}

/* The number of the code p[0 … n); UINT32_MAX: it is none. */
static uint32_t code_number(const char *p, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t c = (unsigned char) p[0];
    if (n > 1) c &= 0xffu >> (n + 1);
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char) p[i] & 0xc0) != 0x80) return UINT32_MAX;
        c = c << 6 | ((unsigned char) p[i] & 0x3f);
    }
    return c >= least[n] && c <= 0x10ffff ? c : UINT32_MAX;
}

/* A character that the target does not have is told as HTML tells it. */
static void put_code(struct recode *s, struct chain *out, const char *p, size_t n)
{
    uint32_t c = code_number(p, n);
    char room[16];
    if (c == UINT32_MAX) {
        put(s, out, "?", 1);
    } else if (c < 0x80) {
        put(s, out, p, 1);
    } else if (c < 0x10000 && s->by->code[c >> 8] && s->by->code[c >> 8][c & 255]) {
        put(s, out, (const char *) &s->by->code[c >> 8][c & 255], 1);
    } else {
        put(s, out, room, (size_t) snprintf(room, sizeof room, "&#%u;", c));
    }
}

static void recode_utf8(struct recode *s, struct chain *out, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (s->held_n && (c & 0xc0) != 0x80) {      /* the code before ended early */
            put(s, out, "?", 1);
            s->held_n = 0;
        }
        if (!s->held_n && code_length(c) < 2) {
            put(s, out, code_length(c) ? t.p + i : "?", 1);
            continue;
        }
        s->held[s->held_n++] = (char) c;
        if (s->held_n < code_length((unsigned char) s->held[0])) continue;
        put_code(s, out, s->held, s->held_n);
        s->held_n = 0;
    }
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct recode *s = at->state;
    struct chain out = CHAIN_EMPTY;
    bool given = in->first != NULL;
    for (const struct link *l = in->first; l; l = l->next) {
        if (s->by->from_utf8) recode_utf8(s, &out, text_of(l->p, l->n));
        for (size_t i = 0; !s->by->from_utf8 && i < l->n; i++) put(s, &out, s->by->bytes[(unsigned char) l->p[i]].p, s->by->bytes[(unsigned char) l->p[i]].n);
        if (!l->flush) continue;
        collect(s, &out);
        chain_add_flush(&out);
    }
    chain_clear(in);
    if (end == BODY_FINAL && s->held_n) put(s, &out, "?", 1);
    collect(s, &out);
    if (end != BODY_MORE) chunk_drop(&s->chunk);
    if (out.first || end != BODY_MORE || !given) filter_pass(r, at, &out, end);
}

/* ---- charset_map ---- */

static struct recoding *add_recoding(struct conf *cf, struct text from, struct text to, struct charset_conf *top)
{
    static const char identity[128] = {
#define SIXTEEN(n) n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, n + 10, n + 11, n + 12, n + 13, n + 14, n + 15
        SIXTEEN(0), SIXTEEN(16), SIXTEEN(32), SIXTEEN(48), SIXTEEN(64), SIXTEEN(80), SIXTEEN(96), SIXTEEN(112)
    };
    struct recoding *t = pool_new(cf->pool, struct recoding);
    t->from = from;
    t->to = to;
    t->from_utf8 = text_eq_nocase(from, T("utf-8"));
    t->to_utf8 = text_eq_nocase(to, T("utf-8"));
    for (size_t i = 0; i < 256; i++) t->bytes[i] = i < 128 ? text_of(&identity[i], 1) : T("?");
    t->next = top->recodings;
    top->recodings = t;
    return t;
}

/* One or more bytes in hex; 0: that is something else. */
static size_t read_hex(struct conf *cf, struct text t, size_t most, char **out)
{
    if (!t.n || t.n % 2 || t.n / 2 > most) return 0;
    *out = pool_bytes(cf->pool, t.n / 2);
    for (size_t i = 0; i < t.n; i += 2) {
        uint64_t byte;
        if (!text_hex(text_of(t.p + i, 2), &byte)) return 0;
        (*out)[i / 2] = (char) byte;
    }
    return t.n / 2;
}

static void map_code(struct conf *cf, struct recoding *t, uint32_t code, uint8_t byte)
{
    if (!t->code[code >> 8]) t->code[code >> 8] = pool_zalloc(cf->pool, 256);
    ((uint8_t *) (uintptr_t) t->code[code >> 8])[code & 255] = byte;
}

/* As it was first written. */
static struct text spell(struct conf *cf, struct text name)
{
    struct charset_conf *top = conf_own_values(cf, cf->top, &charset_module);
    if (!top->names) {
        top->names = pool_new(cf->pool, struct table);
        table_init(top->names, cf->pool, true);
    }
    struct text *known = table_get(top->names, name);
    if (known) return *known;
    known = pool_new(cf->pool, struct text);
    *known = pool_text(cf->pool, name);
    table_put(top->names, *known, known);
    return *known;
}

struct both { struct recoding *there, *back; };

/* "80 88;": a byte of the first charset, and what it is in the second. */
static conf_result add_entry(struct conf *cf, void *arg)
{
    const struct both *b = arg;
    char *one, *two;
    if (cf->count != 2) return conf_say(cf, "!invalid parameters number");
    /* A single digit is a byte too. */
    struct text first = cf->words[0].n == 1 ? pool_printf(cf->pool, "0%s", cf->words[0].p) : cf->words[0];
    struct text second = cf->words[1].n == 1 ? pool_printf(cf->pool, "0%s", cf->words[1].p) : cf->words[1];
    if (read_hex(cf, first, 1, &one) != 1) return conf_say(cf, "!invalid value \"%s\"", cf->words[0].p);
    size_t n = read_hex(cf, second, b->there->to_utf8 ? CODE_MOST : 1, &two);
    if (!n) return conf_say(cf, "!invalid value \"%s\"", cf->words[1].p);
    b->there->bytes[(unsigned char) *one] = text_of(two, n);
    if (!b->there->to_utf8) {
        b->back->bytes[(unsigned char) *two] = text_of(one, 1);
        return NULL;
    }
    uint32_t code = code_length((unsigned char) *two) == n ? code_number(two, n) : UINT32_MAX;
    if (code > 0xffff) return conf_say(cf, "!invalid value \"%s\"", cf->words[1].p);
    map_code(cf, b->back, code, (uint8_t) *one);
    return NULL;
}

static conf_result parse_map(struct conf *cf, const struct directive *d, void *field)
{
    struct charset_conf *top = conf_own_values(cf, cf->top, &charset_module);
    (void) d, (void) field;
    struct text from = spell(cf, cf->words[1]), to = spell(cf, cf->words[2]);
    const char *one = cf->words[1].p, *two = cf->words[2].p;
    if (text_eq_nocase(from, to)) return conf_say(cf, "!\"charset_map\" between the same charsets \"%s\" and \"%s\"", one, two);
    if (find(from, to, top->recodings)) return conf_say(cf, "!duplicate \"charset_map\" between \"%s\" and \"%s\"", one, two);
    struct both b = { add_recoding(cf, from, to, top), add_recoding(cf, to, from, top) };
    return conf_entries(cf, add_entry, &b);
}

/* ---- directives ---- */

static conf_result parse_name(struct conf *cf, const struct directive *d, void *field)
{
    struct charset_name *n = field;
    struct text t = cf->words[1];
    if (text_eq(text_c(d->name), T("charset")) && text_eq(t, T("off"))) return NULL;
    n->kind = t.n && t.p[0] == '$' ? NAME_VARIABLE : NAME_TEXT;
    if (n->kind == NAME_VARIABLE) n->index = variables_index(cf, text_from(t, 1));
    else n->text = spell(cf, t);
    return NULL;
}

/* Both are known: there must be a map between them. */
static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct charset_conf *c = values;
    const struct charset_conf *top = conf_own_values(cf, cf->top, &charset_module);
    (void) b;
    c->recodings = top->recodings;
    c->names = top->names;
    if (c->charset.kind != NAME_TEXT || c->source.kind != NAME_TEXT || text_eq_nocase(c->charset.text, c->source.text)) return NULL;
    if (find(c->source.text, c->charset.text, top->recodings)) return NULL;
    return conf_say(cf, "!no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"", TEXT_ARG(c->source.text), TEXT_ARG(c->charset.text));
}

static const struct conf_type type_name = { "charset", sizeof(struct charset_name), 0, 1, 1, parse_name };
static const struct conf_type type_map = { "charset1 charset2 { ... }", 0, CONF_BLOCK | CONF_MULTI, 2, 2, parse_map };

static const struct directive rows[] = {
    { .name = "charset", .type = &type_name, .where = IN_HSL | IN_IF, .offset = FIELD(struct charset_conf, charset, struct charset_name), .dflt = "off", .syntax = "charset | off",
      .help = "The charset that responses are said to have, and are recoded to where source_charset is another one." },
    D_TYPE(struct charset_conf, source, struct charset_name, &type_name, "source_charset", IN_HSL | IN_IF, NULL, "The charset that responses have by themselves."),
    D_FLAG(struct charset_conf, override, "override_charset", IN_HSL | IN_IF, "off", "Whether responses of an upstream that name a charset are recoded too."),
    D_TYPES(struct charset_conf, types, "charset_types", IN_HSL, "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml", "The content types that get a charset, besides text/html; * is any."),
    D_DO(&type_map, "charset_map", IN_HTTP, NULL, NULL, "A table between two charsets, by lines of two codes in hex; the second charset may be utf-8."),
    { 0 }
};

static const struct filter charset_filter = { .name = "charset", .head = head, .body = body, .bytes = true };
static const struct filter *const filters[] = { &charset_filter, NULL };
static const struct http_part part = { .filters = filters };

struct module charset_module = { .name = "charset", .conf_size = sizeof(struct charset_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind };
