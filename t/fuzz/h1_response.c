/* Response heads: same facts however they are cut; the framing that follows from them. */
#include "t/fuzz/h1.h"

static enum h1_result first_line(struct head *h, const char *buf, size_t len)
{
    struct h1_status_line line;
    enum h1_result got = h1_status_line(&h->parse, buf, len, &line);
    if (got != H1_DONE) return got;
    HOLD(fuzz_one_line(line.line) && fuzz_one_line(line.reason));
    HOLD(line.status >= 100 && line.status <= 999);
    HOLD(line.version == 1000 || line.version == 1001);
    add_fact(h, line.line);
    add_fact(h, line.reason);
    build_u64(&h->said, line.version);
    build_u64(&h->said, line.status);

    struct field fields[FUZZ_FIELDS_MOST];
    size_t n = collect(h, buf, h->parse.at, len, fields);
    for (unsigned m = METHOD_OTHER; m < METHOD_COUNT; m++) {
        struct framing f = framing_response(line.version, (enum method) m, line.status, fields, n);
        HOLD((f.kind == FRAMING_BAD) == (f.fault != FAULT_NONE));
        HOLD(f.kind != FRAMING_CLOSE || f.close);
        HOLD(m != METHOD_HEAD || f.kind == FRAMING_NONE || f.kind == FRAMING_BAD || line.status == 101);
    }
    return H1_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_splits(data, size, H1_RESPONSE);
    return 0;
}
