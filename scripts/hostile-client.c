/*
 * The client of scripts/hostile, and the backend behind the server under test. Sends streams of mutated requests, each
 * followed by a canary, and holds the answers against a reading of its own of where each request ends.
 *
 *   hostile-client run PORT BACKEND COUNT SEED CONNECTIONS [CORPUS…]        at least COUNT mutated requests; exit code 1: faults
 *   hostile-client classify PORT BACKEND COUNT SEED CONNECTIONS [CORPUS…]   one at most lightly mutated request and its canary a
 *       connection; a line for each on stdout: number, seed, mutator, verdict (the statuses, "+canary" when that was answered)
 *   hostile-client show - - NUMBER SEED - [CORPUS…]                         prints the stream of that number
 *
 * What is held: answers are well framed and come one for each request, in order (X-N, which the server sets to
 * $connection_requests, and the target that an answer repeats, say so); nothing is answered behind a request that two readers
 * could cut differently, nor more than one error for it; a canary is answered as itself, or the connection was closed by an
 * answer that said so; and the backend gets nothing but plain requests. Which bytes are ambiguous is said in judge().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 4, STREAM_MAX = 160 * 1024, REQUESTS_MAX = 64, SEEDS_MAX = 512, CONNECTIONS_MAX = 256, PATIENCE_MS = 20000, SHOWN_MAX = 12 };

struct bytes { const char *p; size_t n; };
struct stream { char p[STREAM_MAX]; size_t n; unsigned seed, mutator; size_t ends[PAIRS]; };    /* ends: of each mutated part */

/* ---- chance: the same number gives the same stream ---- */

static uint64_t chance_state;
static uint64_t chance(uint64_t below)
{
    uint64_t z = chance_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}
#define PICK(array) (array)[chance(sizeof (array) / sizeof *(array))]

/* ---- seeds ---- */

#define HOST "Host: a\r\n"
static const char *const own[] = {
    "GET /echo/a?b=c HTTP/1.1\r\n" HOST "\r\n",
    "GET /files/ HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n",
    "GET /files/a.txt HTTP/1.1\r\n" HOST "Range: bytes=1-2,4-5\r\nIf-Range: \"x\"\r\n\r\n",
    "GET /files/a.txt HTTP/1.1\r\n" HOST "If-None-Match: \"a\", W/\"b\"\r\nIf-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n",
    "HEAD /files/a.txt HTTP/1.1\r\n" HOST "\r\n",
    "GET /files/sub HTTP/1.1\r\n" HOST "\r\n",
    "GET /none HTTP/1.1\r\n" HOST "\r\n",
    "GET /exact HTTP/1.1\r\n" HOST "\r\n",
    "GET /exact/../final/x.php HTTP/1.1\r\n" HOST "\r\n",
    "GET /re/a%2fb/c%20d/./e HTTP/1.1\r\n" HOST "\r\n",
    "GET /x.PHP?y HTTP/1.1\r\n" HOST "Cookie: a=b; c=d\r\n\r\n",
    "GET /rewrite/a/b?c HTTP/1.1\r\n" HOST "\r\n",
    "GET /redirect/a?b HTTP/1.1\r\n" HOST "\r\n",
    "GET /cycle/ HTTP/1.1\r\n" HOST "\r\n",
    "GET /nested/deep/x.txt HTTP/1.1\r\n" HOST "\r\n",
    "GET /proxy/a?b=c HTTP/1.1\r\n" HOST "X-A: 1\r\nX-A: 2\r\nConnection: keep-alive, X-A\r\n\r\n",
    "GET /under/a%20b HTTP/1.1\r\n" HOST "\r\n",
    "GET http://b.example:80/proxy/x HTTP/1.1\r\n" HOST "\r\n",
    "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
    "GET /echo/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /proxy/old HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n",
    "POST /echo/p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
    "POST /proxy/p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
    "POST /stream/p HTTP/1.1\r\n" HOST "Content-Length: 11\r\nExpect: 100-continue\r\n\r\nhello world",
    "POST /proxy/p HTTP/1.1\r\n" HOST "Content-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n",
    "POST /echo/c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /proxy/c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n1a;x\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Trailer: t\r\n\r\n",
    "POST /stream/c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n00\r\nX-T: t\r\n\r\n",
    "PUT /files/new HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /proxy/c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n26\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\n",
    "GET /echo/u HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
    "GET /proxy/up HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "GET /files/a.txt\r\n",
    "\r\nGET /echo/e HTTP/1.1\r\n" HOST "TE: trailers\r\nContent-Length: 0\r\n\r\n",
};
enum { OWN = sizeof own / sizeof *own };
static struct bytes seeds[SEEDS_MAX];
static unsigned seed_count;

static void add_seed(const char *p, size_t n)
{
    if (seed_count == SEEDS_MAX) return;
    char *copy = malloc(n + 1);
    memcpy(copy, p, n);
    seeds[seed_count++] = (struct bytes) { copy, n };
}

/* A fuzzing corpus' file: its first byte is no part of the request. */
static void read_seed(const char *path)
{
    char room[16384];
    FILE *f = fopen(path, "rb");
    if (!f) return;
    size_t n = fread(room, 1, sizeof room, f);
    fclose(f);
    if (n > 1) add_seed(room + 1, n - 1);
}

/* ---- mutators, upon p[from, *n) ---- */

struct part { char *p; size_t n, most; };

static void insert(struct part *m, size_t at, const char *p, size_t n)
{
    if (m->n + n > m->most) return;
    memmove(m->p + at + n, m->p + at, m->n - at);
    memcpy(m->p + at, p, n);
    m->n += n;
}

static void delete(struct part *m, size_t at, size_t n)
{
    if (at + n > m->n) n = m->n - at;
    memmove(m->p + at, m->p + at + n, m->n - at - n);
    m->n -= n;
}

static size_t spot(const struct part *m) { return chance(m->n + 1); }

/* The start of a line, and its length with its end. */
static size_t some_line(const struct part *m, size_t *n)
{
    size_t at = spot(m), end = at;
    while (at && m->p[at - 1] != '\n') at--;
    while (end < m->n && m->p[end++] != '\n') { }
    *n = end - at;
    return at;
}

static void flip(struct part *m) { if (m->n) m->p[chance(m->n)] ^= (char) (1u << chance(8)); }
static void odd_byte(struct part *m)
{
    static const char odd[] = "\r\n\0 \t:\v\f\x7f\x80\xff\\/;,\"=%#?@";
    insert(m, spot(m), odd + chance(sizeof odd - 1), 1);
}
static void drop_some(struct part *m) { delete(m, spot(m), 1 + chance(chance(2) ? 2 : 20)); }
static void random_bytes(struct part *m) { for (unsigned k = 1 + (unsigned) chance(4); k && m->n; k--) m->p[chance(m->n)] = (char) chance(256); }

static void framing_field(struct part *m)
{
    static const char *const lines[] = {
        "Content-Length: 0\r\n", "Content-Length: 5\r\n", "Content-Length: 6\r\n", "content-length: 5\r\n", "Content-Length: +5\r\n", "Content-Length: 05\r\n",
        "Content-Length: 5, 5\r\n", "Content-Length: 5 \r\n", "Content-Length:\t5\r\n", "Content-Length : 5\r\n", "Content-Length: 0x5\r\n", "Content-Length: -1\r\n",
        "Content-Length: 18446744073709551621\r\n", "Content-Length: 9223372036854775807\r\n", "Content-Length:\r\n", "Content-Length: 5\n", "Content_Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n", "transfer-encoding: CHUNKED\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding:\vchunked\r\n",
        "Transfer-Encoding:\tchunked\r\n", "Transfer-Encoding: chunked\t\r\n", "Transfer-Encoding:chunked\r\n", "Transfer-Encoding: \"chunked\"\r\n", "Transfer_Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n", "X: y\r\n Transfer-Encoding: chunked\r\n", "X: y\rTransfer-Encoding: chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n",
        "\tTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chun\0ked\r\n", "Transfer-Encoding\0: chunked\r\n", "Connection: Content-Length\r\n", "Connection: Transfer-Encoding, close\r\n",
        "Host: b\r\n", "Expect: 100-continue\r\n", "Expect: x\r\n", "Upgrade: h2c\r\n", "Keep-Alive: 1\r\n", "Trailer: Content-Length\r\n", "TE: chunked\r\n",
    };
    size_t n, at = some_line(m, &n);
    const char *line = PICK(lines);
    insert(m, at + n, line, strncmp(line, "Transfer-Encoding: chun", 23) == 0 && !line[23] ? 29 : strncmp(line, "Transfer-Encoding", 17) == 0 && !line[17] ? 29 : strlen(line));
}

static void line_end(struct part *m)
{
    static const char *const ends[] = { "\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", " \r\n", "\r\n\n", "" };
    size_t n, at = some_line(m, &n), end = at + n;
    while (end > at && (m->p[end - 1] == '\n' || m->p[end - 1] == '\r')) end--;
    delete(m, end, at + n - end);
    const char *e = PICK(ends);
    insert(m, end, e, strlen(e));
}

static void fold(struct part *m)
{
    static const char *const folds[] = { "\r\n ", "\r\n\t", "\n ", "\r ", "\r\n", "\n" };
    const char *f = PICK(folds);
    insert(m, spot(m), f, strlen(f));
}

static void nul(struct part *m) { insert(m, spot(m), "\0", 1); }

static void twice(struct part *m)
{
    char room[4096];
    size_t n, at = some_line(m, &n);
    if (!n || n > sizeof room) return;
    memcpy(room, m->p + at, n);
    if (chance(2)) room[chance(n)] ^= (char) (1u << chance(3));
    insert(m, chance(2) ? at : some_line(m, &n), room, n);
}

static void chunk_size(struct part *m)
{
    static const char *const sizes[] = { "0x5", "+5", "-0", "05", "0000000000000005", "00000000000000005", "ffffffffffffffff", "fffffffffffffffb", "80000000", "7fffffffffffffff", "5 ", "5\t", " 5", "5;", "5;;", "5; a",
        "5;a=b", "5;a=\"\r\n\"", "5;a\n", "5_", "5h", "", "5\r", "5\n", "0", "6", "4", "1", "FFFF", "5;a=\"b" };
    size_t n, at = 0, end;
    for (unsigned k = 0; k < 20; k++) {
        at = some_line(m, &n);
        if (n && strchr("0123456789abcdef", m->p[at])) break;
    }
    for (end = at; end < m->n && strchr("0123456789abcdefABCDEF", m->p[end]) && m->p[end]; end++) { }
    delete(m, at, end - at);
    const char *s = PICK(sizes);
    insert(m, at, s, strlen(s));
}

static void splice_in(struct part *m)
{
    struct bytes other = seeds[chance(seed_count)];
    size_t at = chance(other.n + 1), from = spot(m);
    if (chance(2)) delete(m, from, m->n);
    insert(m, from, other.p + at, other.n - at);
}

static void huge(struct part *m)
{
    static char room[24 * 1024];
    static const char fill[] = "aA/ %:\r\n\t;,0";
    size_t n = 1 + chance(chance(4) ? 2500 : sizeof room - 1);
    memset(room, fill[chance(chance(2) ? 2 : sizeof fill - 1)], n);
    insert(m, spot(m), room, n);
}

static void many_lines(struct part *m)
{
    size_t n, at = some_line(m, &n);
    for (unsigned k = (unsigned) chance(200); k; k--) insert(m, at + n, "A: b\r\n", 6);
}

static void target(struct part *m)
{
    static const char *const bits[] = { "/../", "/..", "%2e%2e/", "//", "/./", "/.", "%00", "%2f", "%2F..", "?", "#", "%", "%zz", "%c0%ae", "\\", ";", "*", "%0d%0a", "%0a", "%20", "/exact", "/files", ".php", "@",
        "http://x/", "://", "http://[::1]:80/", "/files/../../etc", "\x80", "%80", "+", "..%2f", "/re/", "/nested/deep/", "%3f", "%25%32%65" };
    size_t end = 0;
    while (end < m->n && m->p[end] != '\n' && m->p[end] != '\r') end++;
    size_t from = 0;
    while (from < end && m->p[from] != ' ') from++;
    for (unsigned k = 1 + (unsigned) chance(3); k; k--) {
        const char *b = PICK(bits);
        insert(m, from < end ? from + 1 + chance(end - from) : from, b, strlen(b));
    }
}

static void field_name(struct part *m)
{
    static const char *const odd[] = { " ", "\t", "\v", "_", "\x01", "\x7f", "\xa0", "(", "\r", "\n", "\0x" };
    size_t n, at = some_line(m, &n), colon = at;
    while (colon < at + n && m->p[colon] != ':') colon++;
    const char *o = PICK(odd);
    insert(m, chance(2) ? colon : at, o, 1);
}

static void first_line(struct part *m)
{
    static const char *const words[] = { "GET", "get", "HEAD", "POST", "CONNECT", "TRACE", "PUT", "DELETE", "PRI", "M-SEARCH", "OPTIONS", "BREW", "", " GET", "GET\t" };
    static const char *const versions[] = { "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1.10", "http/1.1", "HTTP/1", "HTTP/1.1 ", "", "HTTP/01.1", "HTTP/1.1\t", "HTTP / 1.1", "HTTP/1.1 x" };
    size_t end = 0, a = 0, b;
    while (end < m->n && m->p[end] != '\n' && m->p[end] != '\r') end++;
    if (chance(2)) {
        while (a < end && m->p[a] != ' ') a++;
        delete(m, 0, a);
        const char *w = PICK(words);
        insert(m, 0, w, strlen(w));
    } else {
        for (b = end; b && m->p[b - 1] != ' '; b--) { }
        delete(m, b, end - b);
        const char *v = PICK(versions);
        insert(m, b, v, strlen(v));
    }
}

static void digit(struct part *m)
{
    for (unsigned k = 0; k < 40 && m->n; k++) {
        size_t at = chance(m->n);
        if (m->p[at] < '0' || m->p[at] > '9') continue;
        m->p[at] = (char) ('0' + chance(10));
        return;
    }
}

static void cut(struct part *m) { m->n = spot(m); }
static void other_case(struct part *m) { for (unsigned k = 3; k && m->n; k--) m->p[chance(m->n)] ^= 0x20; }
static void nothing(struct part *m) { (void) m; }

static const struct { const char *name; void (*fn)(struct part *m); } mutators[] = {
    { "none", nothing }, { "flip", flip }, { "odd-byte", odd_byte }, { "delete", drop_some }, { "random", random_bytes }, { "framing", framing_field },
    { "framing", framing_field }, { "framing", framing_field }, { "line-end", line_end }, { "line-end", line_end }, { "fold", fold }, { "nul", nul },
    { "twice", twice }, { "chunk-size", chunk_size }, { "chunk-size", chunk_size }, { "splice", splice_in }, { "huge", huge }, { "many-lines", many_lines },
    { "target", target }, { "target", target }, { "field-name", field_name }, { "first-line", first_line }, { "digit", digit }, { "cut", cut }, { "case", other_case },
};
enum { MUTATORS = sizeof mutators / sizeof *mutators };

static uint64_t run_seed;
static int classifying;

static void add_canary(struct stream *s, uint64_t id, int last)
{
    s->n += (size_t) sprintf(s->p + s->n, "GET %s/canary/%llu HTTP/1.1\r\nHost: canary\r\n%s\r\n", chance(2) ? "/proxy" : "", (unsigned long long) id, last ? "Connection: close\r\n" : "");
}

static void make_stream(struct stream *s, uint64_t number)
{
    chance_state = run_seed * 0x2545f4914f6cdd1du + number * 0x9e3779b1u;
    s->n = 0;
    for (unsigned pair = 0, pairs = classifying ? 1 : PAIRS; pair < pairs; pair++) {
        s->seed = (unsigned) (classifying ? number % seed_count : chance(chance(8) ? OWN : seed_count));
        struct part m = { s->p + s->n, seeds[s->seed].n, 30 * 1024 };
        memcpy(m.p, seeds[s->seed].p, m.n);
        s->mutator = classifying && number < seed_count ? 0 : 1 + (unsigned) chance(MUTATORS - 1);
        mutators[s->mutator].fn(&m);
        while (!classifying && chance(3) == 0) mutators[chance(MUTATORS)].fn(&m);
        s->n += m.n;
        s->ends[pair] = s->n;
        add_canary(s, number * PAIRS + pair, pair + 1 == pairs);
    }
}

/* ---- where each request ends, read strictly ---- */

enum verdict { FINE, REFUSE, SHORT /* the bytes end before it does */, OLD /* HTTP/0.9: whatever follows is its body */ };
struct judged { enum verdict verdict; size_t end; struct bytes method, target; int in_body; const char *why; };

static int is_token(unsigned char c) { return c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c); }

static int same(struct bytes a, const char *b) { return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0; }

static struct bytes trimmed(struct bytes t)
{
    while (t.n && (t.p[0] == ' ' || t.p[0] == '\t')) t.p++, t.n--;
    while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) t.n--;
    return t;
}

/* The line at *at, without its end; 0: it has none. *at moves behind it. */
static int take_line(struct bytes b, size_t *at, struct bytes *line, int *lone_lf)
{
    const char *lf = *at < b.n ? memchr(b.p + *at, '\n', b.n - *at) : NULL;
    if (!lf) return 0;
    *line = (struct bytes) { b.p + *at, (size_t) (lf - b.p) - *at };
    *at = (size_t) (lf - b.p) + 1;
    *lone_lf = !(line->n && line->p[line->n - 1] == '\r');
    if (!*lone_lf) line->n--;
    return 1;
}

struct framing { unsigned lengths, codings, hosts; struct bytes length, coding; };

static const char *judge_field(struct bytes line, struct framing *f, int strict)
{
    const char *colon = memchr(line.p, ':', line.n);
    if (line.p[0] == ' ' || line.p[0] == '\t') return "a folded line";
    if (!colon || colon == line.p) return "no name";
    struct bytes name = { line.p, (size_t) (colon - line.p) }, value = trimmed((struct bytes) { colon + 1, line.n - name.n - 1 });
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char) line.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return "a control character";
        if (i < name.n && (c == ' ' || c == '\t')) return "a space in a name";
        if (strict && i < name.n && !is_token(c)) return "an odd name";
    }
    if (same(name, "Content-Length")) f->length = value, f->lengths++;
    if (same(name, "Transfer-Encoding")) f->coding = value, f->codings++;
    if (same(name, "Host")) f->hosts++;
    return NULL;
}

static const char *judge_framing(const struct framing *f, int version)
{
    if (f->lengths && f->codings) return "length and coding";
    if (f->lengths > 1 || f->codings > 1) return "twice";
    if (f->codings && (version < 11 || !same(f->coding, "chunked"))) return "coding";
    for (size_t i = 0; i < f->length.n; i++) if (f->length.p[i] < '0' || f->length.p[i] > '9') return "length";
    size_t zeros = 0;
    while (zeros < f->length.n && f->length.p[zeros] == '0') zeros++;
    if (f->lengths && (f->length.n == 0 || f->length.n - zeros > 18)) return "length";
    return NULL;
}

/* A chunked body from at on: sets end, or why not. */
static void judge_chunks(struct bytes b, size_t at, struct judged *j)
{
    struct bytes line;
    int lone = 0;
    j->in_body = 1;
    for (;;) {
        j->verdict = SHORT;
        if (!take_line(b, &at, &line, &lone)) return;
        size_t digits = 0;
        uint64_t size = 0;
        for (; digits < line.n && strchr("0123456789abcdefABCDEF", line.p[digits]) && line.p[digits]; digits++) {
            char c = line.p[digits];
            if (size >> 56) return (void) (j->verdict = REFUSE, j->why = "chunk size");
            size = size << 4 | (unsigned) (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        }
        struct bytes rest = trimmed((struct bytes) { line.p + digits, line.n - digits });
        j->verdict = REFUSE;
        if (!digits || digits > 16 || lone || (rest.n && rest.p[0] != ';') || memchr(line.p, '\0', line.n) || memchr(line.p, '\r', line.n)) return (void) (j->why = "chunk size");
        if (size == 0) break;
        j->verdict = SHORT;
        if (size > b.n - at) return;
        at += size;
        if (b.n - at >= 1 && b.p[at] != '\r') return (void) (j->verdict = REFUSE, j->why = "chunk end");
        if (b.n - at < 2) return;
        if (b.p[at + 1] != '\n') return (void) (j->verdict = REFUSE, j->why = "chunk end");
        at += 2;
    }
    for (;;) {
        struct framing ignored = { 0 };
        j->verdict = SHORT;
        if (!take_line(b, &at, &line, &lone)) return;
        if (lone || memchr(line.p, '\r', line.n) || (line.n && judge_field(line, &ignored, 0))) return (void) (j->verdict = REFUSE, j->why = "trailers");
        if (!line.n) break;
    }
    j->verdict = FINE;
    j->end = at;
}

/* The request at at. strict: of the server under test to its backend; nothing but plain is let through. */
static struct judged judge(struct bytes b, size_t at, int strict)
{
    struct judged j = { .verdict = SHORT };
    struct framing f = { 0 };
    struct bytes line;
    int lone = 0, version = 11;
    const char *why = NULL;
    while (!strict && at < b.n && (b.p[at] == '\n' || (b.p[at] == '\r' && at + 1 < b.n && b.p[at + 1] == '\n'))) at++;
    if (!take_line(b, &at, &line, &lone)) return j;
    const char *s1 = memchr(line.p, ' ', line.n), *s2 = s1 ? memchr(s1 + 1, ' ', (size_t) (line.p + line.n - s1 - 1)) : NULL;
    if (memchr(line.p, '\r', line.n) || memchr(line.p, '\0', line.n)) why = "CR or NUL in the first line";
    if (s1) j.method = (struct bytes) { line.p, (size_t) (s1 - line.p) };
    if (s2) j.target = (struct bytes) { s1 + 1, (size_t) (s2 - s1 - 1) };
    if (s1 && !s2) {
        j.verdict = why ? REFUSE : OLD;
        return j;
    }
    if (!s2 || line.p + line.n - s2 < 9 || strncmp(s2, " HTTP/", 6) != 0) why = "first line";
    else if (s2[6] == '1' && s2[7] == '.' && strspn(s2 + 8, "0") == (size_t) (line.p + line.n - s2 - 8)) version = 10;
    if (strict && lone) why = "a lone LF";
    while (!why) {
        if (!take_line(b, &at, &line, &lone)) return j;
        if (strict && lone) why = "a lone LF";
        if (!line.n) break;
        if (!why) why = judge_field(line, &f, strict);
    }
    if (!why) why = judge_framing(&f, version);
    if (!why && strict && f.hosts != 1) why = "hosts";
    if (why) {
        j.verdict = REFUSE;
        j.why = why;
        return j;
    }
    if (f.codings) {
        judge_chunks(b, at, &j);
        return j;
    }
    uint64_t length = 0;
    for (size_t i = 0; i < f.length.n; i++) length = length * 10 + (unsigned) (f.length.p[i] - '0');
    j.in_body = length != 0;
    if (length > b.n - at) return j;
    j.verdict = FINE;
    j.end = at + length;
    return j;
}

/* ---- answers ---- */

struct answer { int status, closes, number; struct bytes body; size_t end; };

/* 1: taken; 0: it is cut; -1: badly framed. */
static int take_answer(struct bytes b, size_t at, int head, struct answer *a)
{
    struct bytes line;
    int lone = 0, chunked = 0;
    long long length = -1;
    *a = (struct answer) { .number = -1 };
    if (!take_line(b, &at, &line, &lone)) return 0;
    if (lone || line.n < 12 || memcmp(line.p, "HTTP/1.1 ", 9) != 0) return -1;
    a->status = atoi(line.p + 9);
    for (;;) {
        if (!take_line(b, &at, &line, &lone)) return 0;
        if (lone || memchr(line.p, '\r', line.n) || memchr(line.p, '\0', line.n)) return -1;
        if (!line.n) break;
        const char *colon = memchr(line.p, ':', line.n);
        if (!colon) return -1;
        struct bytes name = { line.p, (size_t) (colon - line.p) }, value = trimmed((struct bytes) { colon + 1, line.n - name.n - 1 });
        if (same(name, "Content-Length")) {
            if (length >= 0) return -1;
            length = atoll(value.p);
        }
        if (same(name, "Transfer-Encoding")) chunked++;
        if (same(name, "Connection") && same(value, "close")) a->closes = 1;
        if (same(name, "X-N")) a->number = atoi(value.p);
    }
    if ((chunked && length >= 0) || chunked > 1) return -1;
    a->body = (struct bytes) { b.p + at, 0 };
    if (a->status / 100 == 1 || a->status == 204 || a->status == 304 || head) {
        a->end = at;
        return 1;
    }
    if (chunked) {
        struct judged j = { 0 };
        judge_chunks(b, at, &j);
        a->end = j.end;
        return j.verdict == FINE ? 1 : j.verdict == SHORT ? 0 : -1;
    }
    if (length < 0) {
        a->closes = 1;
        length = (long long) (b.n - at);
    }
    if ((uint64_t) length > b.n - at) return 0;
    a->body.n = (size_t) length;
    a->end = at + (size_t) length;
    return 1;
}

/* ---- connections ---- */

enum kind { FREE, CLIENT, BACKEND, LISTENER };
struct conn {
    enum kind kind;
    int       fd;
    uint64_t  number;           /* of the stream */
    struct stream *s;
    size_t    sent;
    int       half_closed, reset;      /* reset: the kernel may have thrown the end of the answers away */
    long      due;
    char     *in;
    size_t    have, room;
};
static struct conn conns[2 * CONNECTIONS_MAX];
static struct conn listener = { .kind = LISTENER };
static int ep;
static struct sockaddr_in server;
static uint64_t next_number, mutants, want, answers, canaries, refusals, streams, resets, forwarded;
static unsigned faults, active;

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void print_bytes(FILE *out, struct bytes b)
{
    for (size_t i = 0; i < b.n && i < 1500; i++) {
        unsigned char c = (unsigned char) b.p[i];
        if (c == '\n') fputs("\\n\n    ", out);
        else if (c == '\r') fputs("\\r", out);
        else if (c < 0x20 || c > 0x7e || c == '\\') fprintf(out, "\\x%02x", c);
        else fputc(c, out);
    }
    fputc('\n', out);
}

static void fault(const struct conn *c, const char *what, const char *why)
{
    if (faults++ >= SHOWN_MAX) return;
    printf("fault: %s%s%s, stream %llu\n", what, why ? ": " : "", why ? why : "", (unsigned long long) c->number);
    if (c->s) {
        printf("  sent:\n    ");
        print_bytes(stdout, (struct bytes) { c->s->p, c->s->n });
    }
    printf("  got:\n    ");
    print_bytes(stdout, (struct bytes) { c->in, c->have });
    fflush(stdout);
}

static int starts(struct bytes b, const char *s) { size_t n = strlen(s); return b.n >= n && memcmp(b.p, s, n) == 0; }

/* Is this request, as we cut it, one of our canaries? */
static int is_canary(struct bytes target) { return starts(target, "/canary/") || starts(target, "/proxy/canary/"); }

/* "echo N target" or "back N target": the number and the target must be this request's. */
static const char *check_body(const struct answer *a, const struct judged *j, unsigned number)
{
    char room[64];
    if (a->status != 200 || same(j->method, "HEAD")) return NULL;
    int echo = starts(a->body, "echo "), back = starts(a->body, "back ");
    if (is_canary(j->target) && !echo && !back) return "a canary that is not answered as itself";
    if (!echo && !back) return NULL;
    int n = snprintf(room, sizeof room, "%s %u ", echo ? "echo" : "back", number);
    if (!starts(a->body, room)) return "another request's number";
    struct bytes rest = { a->body.p + n, a->body.n - (size_t) n }, target = j->target;
    if (!echo && !is_canary(target)) return NULL;
    const char *authority = target.n && target.p[0] != '/' ? memmem(target.p, target.n, "://", 3) : NULL;
    const char *path = authority ? memchr(authority + 3, '/', (size_t) (target.p + target.n - authority - 3)) : NULL;
    if (path) target = (struct bytes) { path, (size_t) (target.p + target.n - path) };       /* absolute form */
    if (rest.n <= target.n || memcmp(rest.p, target.p, target.n) != 0 || rest.p[target.n] != '\n') return "another request's target";
    return NULL;
}

struct told { char verdict[256]; int canary; };

/* All has come that will: hold it against what was sent. */
static void check_stream(struct conn *c, struct told *told)
{
    struct bytes sent = { c->s->p, c->s->n }, got = { c->in, c->have };
    size_t at = 0, from = 0;
    unsigned number = 0, pair = 0, seen = 0;
    for (;;) {
        struct judged j = judge(sent, from, 0);
        struct answer a;
        int head = same(j.method, "HEAD"), r;
        number++;
        do {
            r = at < got.n ? take_answer(got, at, head, &a) : 0;
            if (r == 1) at = a.end;
        } while (r == 1 && a.status / 100 == 1 && a.status != 101);
        if (r == 1 && head && a.status >= 400 && a.closes && a.end < got.n && got.p[a.end] == '<') at = got.n;     /* refused before it was known to be HEAD: it may have a body */
        if (j.verdict == OLD) { seen++; break; }        /* raw, or an error; nothing may be held of it */
        if (r < 0 && !classifying) return fault(c, "an answer is badly framed", NULL);
        if (r <= 0) {
            if (at < c->have && !classifying && !c->reset) return fault(c, "an answer is cut", NULL);
            if (j.verdict == FINE && !classifying && !c->half_closed && !c->reset) return fault(c, "closed without an answer", NULL);
            seen += j.verdict != FINE;
            break;
        }
        answers++;
        size_t used = strlen(told->verdict);
        snprintf(told->verdict + used, sizeof told->verdict - used, "%s%d", used ? "," : "", a.status);
        if (classifying) {
            if (is_canary(j.target) && a.status == 200 && j.verdict == FINE) told->canary = 1;
        } else {
            const char *why = check_body(&a, &j, number);
            if (why) return fault(c, why, NULL);
            if (a.number != (int) number) return fault(c, "an answer of another number", NULL);
            if (j.verdict == REFUSE && a.status < 400 && !j.in_body) return fault(c, "not refused", j.why);
        }
        if (is_canary(j.target) && a.status == 200) canaries++;
        if (a.status >= 400) refusals++;
        if (a.closes || j.verdict != FINE) {
            if (at < c->have && !classifying) return fault(c, j.verdict == FINE ? "an answer after the last one" : "an answer after what had to be refused", j.why);
            seen++;
            break;
        }
        from = j.end;
        while (pair < PAIRS && from >= c->s->ends[pair]) pair++, seen = pair;
        if (from >= c->s->n) {
            if (at < c->have && !classifying) return fault(c, "more answers than requests", NULL);
            break;
        }
    }
    mutants += seen < 1 ? 1 : seen > PAIRS ? PAIRS : seen;
}

static void watch(struct conn *c, uint32_t events, int op)
{
    struct epoll_event e = { .events = events, .data.ptr = c };
    epoll_ctl(ep, op, c->fd, &e);
}

static void drop(struct conn *c)
{
    close(c->fd);
    if (c->kind == CLIENT) active--;
    c->kind = FREE;
}

static struct conn *new_conn(enum kind kind, int fd)
{
    for (unsigned i = 0; i < 2 * CONNECTIONS_MAX; i++) {
        struct conn *c = &conns[i];
        if (c->kind != FREE) continue;
        char *in = c->in;
        size_t room = c->room;
        struct stream *s = c->s;
        *c = (struct conn) { .kind = kind, .fd = fd, .in = in, .room = room, .s = s, .due = now_ms() + (classifying ? 1000 : PATIENCE_MS / 4) };
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return c;
    }
    close(fd);
    return NULL;
}

/* Would the server wait for more after these bytes? Then it is told that there is no more. What is refused
 * is left to the server first: one that sees its client leave may leave out its answer. */
static int ends_short(const struct stream *s)
{
    struct bytes b = { s->p, s->n };
    struct judged j = { .verdict = FINE };
    for (size_t at = 0; at < s->n; at = j.end)
        if ((j = judge(b, at, 0)).verdict != FINE) break;
    return j.verdict == SHORT;
}

static void send_some(struct conn *c)
{
    while (c->sent < c->s->n) {
        size_t n = c->s->n - c->sent;
        if (c->number % 4 == 0) n = 1 + (n - 1) * 2 / 3;        /* now and then in pieces */
        ssize_t r = send(c->fd, c->s->p + c->sent, n, MSG_NOSIGNAL);
        if (r < 0 && errno == EAGAIN) return;
        if (r < 0) {
            c->sent = c->s->n;
            break;
        }
        c->sent += (size_t) r;
    }
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    if (ends_short(c->s)) {
        c->half_closed = 1;
        shutdown(c->fd, SHUT_WR);
    }
}

static void begin(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (struct sockaddr *) &server, sizeof server) < 0 && errno != EINPROGRESS) {
        perror("connect");
        exit(2);
    }
    struct conn *c = new_conn(CLIENT, fd);
    if (!c) exit(2);
    if (!c->s) c->s = malloc(sizeof *c->s);
    c->number = next_number++;
    make_stream(c->s, c->number);
    active++;
    watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void finish(struct conn *c)
{
    struct told told = { "", 0 };
    streams++;
    resets += (unsigned) c->reset;
    check_stream(c, &told);
    if (classifying) printf("%llu\t%u\t%s\t%s%s\n", (unsigned long long) c->number, c->s->seed, mutators[c->s->mutator].name, told.verdict[0] ? told.verdict : "closed", told.canary ? "+canary" : "");
    drop(c);
}

/* What the server forwarded: each request must be plain; the answer repeats its number and target. */
static void serve(struct conn *c)
{
    size_t at = 0;
    while (at < c->have) {
        struct bytes b = { c->in, c->have };
        struct judged j = judge(b, at, 1);
        if (j.verdict == SHORT) break;
        if (j.verdict != FINE || (starts(j.target, "/smuggled"))) {
            struct conn shown = *c;
            shown.s = NULL;
            if (!classifying) fault(&shown, "forwarded", j.verdict == FINE ? "a smuggled request" : j.why ? j.why : "HTTP/0.9");
            return drop(c);
        }
        const char *n = memmem(c->in + at, j.end - at, "\r\nX-N: ", 7);
        char room[STREAM_MAX / 2];
        int head = same(j.method, "HEAD"), size = snprintf(NULL, 0, "back %d %.*s\n", n ? atoi(n + 7) : -1, (int) j.target.n, j.target.p);
        int len = snprintf(room, sizeof room, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size);
        if (!head) len += snprintf(room + len, sizeof room - (size_t) len, "back %d %.*s\n", n ? atoi(n + 7) : -1, (int) j.target.n, j.target.p);
        forwarded++;
        if (send(c->fd, room, (size_t) len, MSG_NOSIGNAL) != len) return drop(c);
        at = j.end;
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
}

static void read_some(struct conn *c)
{
    for (;;) {
        if (c->have == c->room) c->in = realloc(c->in, c->room = c->room ? 2 * c->room : 16384);
        ssize_t r = recv(c->fd, c->in + c->have, c->room - c->have, 0);
        if (r < 0 && errno == EAGAIN) break;
        if (r <= 0) {
            if (c->kind == BACKEND) return drop(c);
            c->reset = r < 0;
            return finish(c);
        }
        c->have += (size_t) r;
    }
    if (c->kind == BACKEND) serve(c);
}

static void accept_some(void)
{
    for (int fd; (fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct conn *c = new_conn(BACKEND, fd);
        if (c) watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void look_at_clock(void)
{
    long now = now_ms();
    for (unsigned i = 0; i < 2 * CONNECTIONS_MAX; i++) {
        if (conns[i].kind != CLIENT || conns[i].due > now) continue;
        if (!conns[i].half_closed) {
            conns[i].half_closed = 1;
            conns[i].due = now + PATIENCE_MS;
            shutdown(conns[i].fd, SHUT_WR);
            continue;
        }
        fault(&conns[i], "neither answered nor closed", NULL);
        mutants++;
        drop(&conns[i]);
    }
}

static int open_listener(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener.fd, (struct sockaddr *) &a, sizeof a) || listen(listener.fd, 511)) return 0;
    watch(&listener, EPOLLIN, EPOLL_CTL_ADD);
    return 1;
}

static void turn(void)
{
    struct epoll_event events[64];
    int n = epoll_wait(ep, events, 64, 1000);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->kind == LISTENER) accept_some();
        else if (c->kind == CLIENT && c->sent < c->s->n && !(events[i].events & EPOLLIN)) send_some(c);
        else if (c->kind != FREE) read_some(c);
    }
    static long next_look;
    if (now_ms() < next_look) return;
    next_look = now_ms() + 500;
    look_at_clock();
}

int main(int argc, char **argv)
{
    if (argc < 7) return 2;
    classifying = strcmp(argv[1], "classify") == 0;
    want = strtoull(argv[4], NULL, 10);
    run_seed = strtoull(argv[5], NULL, 10);
    unsigned most = (unsigned) atoi(argv[6]);
    for (unsigned i = 0; i < OWN; i++) add_seed(own[i], strlen(own[i]));
    for (int i = 7; i < argc; i++) read_seed(argv[i]);
    if (strcmp(argv[1], "show") == 0) {
        struct stream *s = malloc(sizeof *s);
        classifying = most == 1;
        make_stream(s, want);
        fwrite(s->p, 1, s->n, stdout);
        return 0;
    }
    ep = epoll_create1(0);
    server = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (!open_listener(atoi(argv[3]))) return perror("listen"), 2;
    long began = now_ms();
    while ((classifying ? next_number < want : mutants < want) && faults < 200) {
        while (active < most && (!classifying || next_number < want)) begin();
        turn();
    }
    while (active && faults < 200) turn();
    fprintf(classifying ? stderr : stdout, "%llu mutated requests on %llu connections in %.0f s: %llu answers, %llu of them errors, %llu canaries, %llu requests forwarded, %llu resets, %u faults\n", (unsigned long long) mutants,
            (unsigned long long) streams, (double) (now_ms() - began) / 1000, (unsigned long long) answers, (unsigned long long) refusals,
            (unsigned long long) canaries, (unsigned long long) forwarded, (unsigned long long) resets, faults);
    return faults ? 1 : 0;
}
