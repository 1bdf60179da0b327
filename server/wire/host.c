#include "wire/host.h"
#include <arpa/inet.h>

enum { NAME_MOST = 253, LABEL_MOST = 63 };        /* RFC 1035 2.3.4 */

static enum host_kind odd(const char **why_out, const char *why)
{
    *why_out = why;
    return HOST_ODD;
}

static bool is_digit(char c) { return (unsigned char) (c - '0') < 10; }

static bool is_number(struct text t)
{
    bool hex = text_starts_nocase(t, T("0x"));
    for (size_t i = hex ? 2 : 0; i < t.n; i++) {
        unsigned char low = text_lower((unsigned char) t.p[i]);
        if (!is_digit(t.p[i]) && !(hex && (unsigned char) (low - 'a') < 6)) return false;
    }
    return t.n > 0;
}

/* RFC 3986 3.2.2 dec-octet, four times: no zeros before, nothing left out. */
static bool is_ipv4(struct text t)
{
    struct text part;
    unsigned parts = 0;
    while (text_split(&t, '.', &part)) {
        uint64_t v;
        if (!part.n || part.n > 3 || !text_u64(part, &v) || v > 255 || (part.n > 1 && part.p[0] == '0')) return false;
        parts++;
    }
    return parts == 4;
}

static enum host_kind look_at_ipv6(struct text t, const char **why_out)
{
    char room[INET6_ADDRSTRLEN];
    struct in6_addr a;
    if (t.n < 4 || t.p[t.n - 1] != ']' || t.n - 2 >= sizeof room) return odd(why_out, "is no IPv6 address");
    memcpy(room, t.p + 1, t.n - 2);
    room[t.n - 2] = '\0';
    return inet_pton(AF_INET6, room, &a) == 1 ? HOST_IPV6 : odd(why_out, "is no IPv6 address");
}

static const char *look_at_labels(struct text t)
{
    size_t label = 0;
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (c == '.') {
            if (!label) return "has an empty label";
            label = 0;
            continue;
        }
        if ((unsigned char) (text_lower(c) - 'a') >= 26 && !is_digit((char) c) && c != '-' && c != '_') return "has a character that stands in no name";
        if (++label > LABEL_MOST) return "has a label that is too long";
    }
    return label ? NULL : "has an empty label";
}

enum host_kind host_look(struct text t, const char **why_out)
{
    if (t.n && t.p[0] == '[') return look_at_ipv6(t, why_out);
    if (!t.n) return odd(why_out, "is empty");
    if (t.n > NAME_MOST) return odd(why_out, "is too long");
    const char *why = look_at_labels(t);
    if (why) return odd(why_out, why);
    ssize_t dot = text_rfind_char(t, '.');
    struct text last = text_from(t, (size_t) (dot + 1));
    if (!is_number(last)) return HOST_NAME;
    return is_ipv4(t) ? HOST_IPV4 : odd(why_out, "is an address in an odd form");
}
