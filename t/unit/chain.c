#include "base/chain.h"
#include "t/unit/tap.h"
#include <fcntl.h>

static struct text all(const struct chain *c)
{
    static char room[65536];
    return text_of(room, chain_copy_out(c, room, sizeof room));
}

static size_t links(const struct chain *c)
{
    size_t n = 0, bytes = 0;
    for (struct link *l = c->first; l; l = l->next) { n++; bytes += l->n; if (l->next == NULL) ok(c->last == l, "last"); }
    is_int(c->bytes, bytes, "bytes add up");
    return n;
}

static void test_memory(void)
{
    struct chain a = CHAIN_EMPTY, b = CHAIN_EMPTY, s = CHAIN_EMPTY;
    ok(chain_empty(&a), "empty");
    chain_add_text(&a, T("hello "));
    chain_add_text(&a, T(""));
    chain_add_copy(&a, T("big "));
    chain_add_copy(&a, T("world"));
    is_int(links(&a), 2, "copies share a chunk");
    is_text(all(&a), "hello big world", "bytes");
    chain_share(&s, &a);
    chain_add_copy(&a, T("!"));
    is_int(links(&a), 3, "a chunk held twice is not written to");
    is_text(all(&s), "hello big world", "share");
    chain_move_bytes(&b, &a, 8);
    is_text(all(&b), "hello bi", "moved bytes");
    is_text(all(&a), "g world!", "left bytes");
    links(&a);
    links(&b);
    chain_skip(&b, 7);
    is_text(all(&b), "i", "skip");
    chain_move(&b, &a);
    is_text(all(&b), "ig world!", "move");
    ok(chain_empty(&a) && a.bytes == 0, "moved from");
    chain_move_bytes(&a, &b, 1000);
    ok(chain_empty(&b), "all when there are fewer");
    chain_clear(&a);
    chain_clear(&s);
    ok(chain_empty(&s), "clear");
}

static void test_flush(void)
{
    struct chain a = CHAIN_EMPTY, b = CHAIN_EMPTY;
    chain_add_flush(&a);
    is_int(links(&a), 1, "flush alone");
    chain_move_bytes(&b, &a, 0);
    ok(!chain_empty(&b) && chain_empty(&a), "moves with nothing");
    chain_skip(&b, 0);
    ok(chain_empty(&b), "empty links go with a skip");
    chain_add_text(&a, T("abcd"));
    chain_add_flush(&a);
    chain_add_copy(&a, T("e"));
    chain_move_bytes(&b, &a, 2);
    ok(!b.first->flush && a.first->flush, "a split leaves the flush at the end");
    chain_clear(&a);
    chain_clear(&b);
}

static void test_chunks(void)
{
    struct chain a = CHAIN_EMPTY;
    struct chunk *c = chunk_open(CHUNK_SMALL);
    memcpy(c->data, "0123456789", 10);
    chain_add_chunk(&a, c, c->data, 4);
    chain_add_chunk(&a, c, c->data + 4, 2);
    chain_add_chunk(&a, c, c->data + 8, 2);
    is_int(links(&a), 2, "what goes on in the same chunk is one link");
    is_int(c->refs, 3, "holds");
    chunk_drop(&c);
    is_text(all(&a), "01234589", "bytes");
    chain_clear(&a);

    static char big[200000];
    memset(big, 'x', sizeof big);
    chain_add_copy(&a, text_of(big, sizeof big));
    is_int(a.bytes, sizeof big, "a long copy");
    chain_clear(&a);
}

static void test_file(void)
{
    struct chain a = CHAIN_EMPTY, b = CHAIN_EMPTY;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct chain_file *f = chain_file_open(fd);
    chain_add_file(&a, f, 100, 50);
    chain_file_drop(&f);
    ok(f == NULL && chain_has_file(&a), "file link holds it");
    chain_move_bytes(&b, &a, 20);
    is_int(a.first->from, 120, "split range");
    chain_skip(&a, 5);
    is_int(a.first->from, 125, "skipped range");
    is_int(a.bytes, 25, "left");
    chain_clear(&a);
    ok(fcntl(fd, F_GETFD) >= 0, "open while held");
    chain_clear(&b);
    ok(fcntl(fd, F_GETFD) < 0, "closed with the last hold");
}

int main(void)
{
    test_memory();
    test_flush();
    test_chunks();
    test_file();
    chain_trim();
    chunk_trim();
    return done();
}
