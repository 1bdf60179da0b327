#include "wire/dns.h"

enum { HEADER = 12, CLASS_IN = 1, POINTERS_MAX = 64, TTL_NONE = UINT32_MAX };

static unsigned get16(struct text m, size_t at) { return (unsigned) (uint8_t) m.p[at] << 8 | (uint8_t) m.p[at + 1]; }
static uint32_t get32(struct text m, size_t at) { return (uint32_t) get16(m, at) << 16 | get16(m, at + 2); }

/* ---- names ---- */

static bool host_byte(unsigned char c)
{
    return (unsigned char) ((c | 0x20) - 'a') < 26 || (unsigned char) (c - '0') < 10 || c == '-' || c == '_';
}

bool dns_name_of(struct text t, struct dns_name *out)
{
    if (t.n && t.p[t.n - 1] == '.') t.n--;
    if (!t.n || t.n > DNS_NAME_MAX) return false;
    for (size_t i = 0, label = 0; i <= t.n; i++) {
        if (i < t.n && t.p[i] != '.') {
            if (!host_byte((unsigned char) t.p[i]) || ++label > 63) return false;
        } else if (!label) {
            return false;
        } else {
            label = 0;
        }
    }
    if (!out) return true;
    out->n = (uint8_t) t.n;
    for (size_t i = 0; i < t.n; i++) out->s[i] = (char) text_lower((unsigned char) t.p[i]);
    out->s[t.n] = '\0';
    return true;
}

/* One label behind what is there. A dot within a label would be taken for two labels: nobody whom we ask for is called so. */
static bool add_label(struct dns_name *out, struct text label)
{
    if (out->n + label.n + (out->n > 0) > DNS_NAME_MAX) return false;
    if (out->n) out->s[out->n++] = '.';
    for (size_t i = 0; i < label.n; i++) {
        unsigned char c = (unsigned char) label.p[i];
        if (c == '.' || c <= ' ' || c >= 0x7f) return false;
        out->s[out->n++] = (char) text_lower(c);
    }
    return true;
}

/* RFC 1035 4.1.4: labels, ended by the root or by a pointer to where the rest stands. *at is moved behind it. */
static bool read_name(struct text m, size_t *at, struct dns_name *out)
{
    size_t i = *at;
    bool jumped = false;
    out->n = 0;
    for (unsigned pointers = 0; i < m.n;) {
        unsigned n = (uint8_t) m.p[i];
        if (n >= 0xc0) {
            if (i + 2 > m.n || ++pointers > POINTERS_MAX) return false;
            if (!jumped) *at = i + 2;
            jumped = true;
            i = get16(m, i) & 0x3fff;
        } else if (n > 63 || i + 1 + n > m.n) {
            return false;
        } else if (n == 0) {
            if (!jumped) *at = i + 1;
            out->s[out->n] = '\0';
            return true;
        } else {
            if (!add_label(out, text_of(m.p + i + 1, n))) return false;
            i += 1 + n;
        }
    }
    return false;
}

/* Behind a name, whatever is in it. */
static bool skip_name(struct text m, size_t *at)
{
    for (size_t i = *at; i < m.n;) {
        unsigned n = (uint8_t) m.p[i];
        if (n >= 0xc0 || n == 0) {
            *at = i + (n ? 2 : 1);
            return *at <= m.n;
        }
        if (n > 63) return false;
        i += 1 + n;
    }
    return false;
}

/* ---- records ---- */

/* One record; the name is read where it can be (else it is empty: nobody's). */
struct record { struct dns_name owner; unsigned type, class; uint32_t ttl; size_t data, size; };

static bool read_record(struct text m, size_t *at, struct record *out)
{
    size_t begin = *at;
    if (!skip_name(m, at) || m.n - *at < 10) return false;
    if (!read_name(m, &begin, &out->owner)) out->owner.n = 0;
    out->type = get16(m, *at);
    out->class = get16(m, *at + 2);
    out->ttl = get32(m, *at + 4);
    if (out->ttl > INT32_MAX) out->ttl = 0;      /* RFC 2181 8 */
    out->size = get16(m, *at + 8);
    out->data = *at + 10;
    if (m.n - out->data < out->size) return false;
    *at = out->data + out->size;
    return true;
}

static bool is_of(const struct dns_answer *a, const struct record *r, unsigned type)
{
    return r->type == type && r->class == CLASS_IN && text_eq(dns_text(&r->owner), dns_text(&a->owner));
}

/* Records may stand in any order, so each alias is looked for from the beginning. False: they go in circles, or are broken. */
static bool follow_aliases(struct dns_answer *a, size_t begin, unsigned count)
{
    for (unsigned hops = 0; hops <= DNS_ALIASES_MAX; hops++) {
        size_t at = begin;
        bool found = false;
        for (unsigned i = 0; i < count && !found; i++) {
            struct record r;
            if (!read_record(a->message, &at, &r)) break;
            if (!is_of(a, &r, DNS_CNAME)) continue;
            size_t data = r.data;
            if (!read_name(a->message, &data, &a->owner) || data > r.data + r.size) return false;
            a->ttl = min_of(a->ttl, r.ttl);
            found = true;
        }
        if (!found) return true;
    }
    return false;
}

/* RFC 2308 5: the lesser of the SOA's own ttl and its last field. */
static void read_none_ttl(struct dns_answer *a, size_t at, unsigned answers, unsigned authority)
{
    for (unsigned i = 0; i < answers + authority; i++) {
        struct record r;
        if (!read_record(a->message, &at, &r)) return;
        if (i < answers || r.type != DNS_SOA || r.class != CLASS_IN || r.size < 20) continue;
        a->none_ttl = min_of(r.ttl, get32(a->message, r.data + r.size - 4));
        if (a->none_ttl > INT32_MAX) a->none_ttl = 0;
        return;
    }
}

bool dns_open(struct dns_answer *a, struct text message, struct text name, enum dns_type type)
{
    struct dns_name asked;
    *a = (struct dns_answer) { .message = message, .type = (uint16_t) type, .ttl = TTL_NONE, .at = HEADER };
    if (message.n < HEADER || message.n > 65535 || !((uint8_t) message.p[2] & 0x80) || get16(message, 4) != 1) return false;
    a->rcode = (uint8_t) message.p[3] & 15;
    a->left = get16(message, 6);
    if (!read_name(message, &a->at, &a->owner) || message.n - a->at < 4 || get16(message, a->at) != type || get16(message, a->at + 2) != CLASS_IN) return false;
    if (name.n && (!dns_name_of(name, &asked) || !text_eq(dns_text(&asked), dns_text(&a->owner)))) return false;
    a->at += 4;
    read_none_ttl(a, a->at, a->left, get16(message, 8));
    return follow_aliases(a, a->at, a->left);
}

static bool read_data(struct dns_answer *a, const struct record *r, struct dns_record *out)
{
    size_t size = a->type == DNS_AAAA ? 16 : 4, at = r->data + 6;
    out->ttl = r->ttl;
    if (a->type != DNS_SRV) {
        if (r->size != size) return false;
        memcpy(out->ip, a->message.p + r->data, size);
        return true;
    }
    if (r->size < 7) return false;
    out->priority = (uint16_t) get16(a->message, r->data);
    out->weight = (uint16_t) get16(a->message, r->data + 2);
    out->port = (uint16_t) get16(a->message, r->data + 4);
    return read_name(a->message, &at, &out->target) && at == r->data + r->size;
}

bool dns_next(struct dns_answer *a, struct dns_record *out)
{
    struct record r;
    while (a->left) {
        a->left--;
        if (!read_record(a->message, &a->at, &r)) {
            a->left = 0;
            return false;
        }
        if (!is_of(a, &r, a->type) || !read_data(a, &r, out)) continue;
        a->ttl = min_of(a->ttl, r.ttl);
        return true;
    }
    return false;
}
