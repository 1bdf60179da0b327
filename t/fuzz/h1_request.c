/* Request heads: same facts however they are cut; the target and the framing that follow from them. */
#include "t/fuzz/h1.h"

static enum h1_result first_line(struct head *h, const char *buf, size_t len)
{
    struct h1_request_line line;
    enum h1_result got = h1_request_line(&h->parse, buf, len, &line);
    if (got != H1_DONE) return got;
    HOLD(fuzz_one_line(line.line) && text_find_char(line.target, ' ') < 0);
    HOLD(line.version == 9 || line.version == 1000 || line.version == 1001);
    add_fact(h, line.line);
    add_fact(h, line.method_name);
    add_fact(h, line.target);
    add_fact(h, line.scheme);
    add_fact(h, line.authority);
    add_fact(h, line.path);
    build_u64(&h->said, line.version);
    struct uri uri;
    struct uri_host host;
    if (line.form == H1_ORIGIN || line.form == H1_ABSOLUTE) uri_parse(line.path, true, h->pool, &uri);
    if (line.authority.n && uri_host(line.authority, h->pool, &host) == FAULT_NONE) HOLD(host.name.n > 0);

    struct field fields[FUZZ_FIELDS_MOST];
    struct framing f = framing_request(line.version, fields, collect(h, buf, h->parse.at, len, fields));
    HOLD((f.kind == FRAMING_BAD) == (f.fault != FAULT_NONE));
    HOLD(f.kind == FRAMING_NONE || f.kind == FRAMING_LENGTH || f.kind == FRAMING_CHUNKED || f.kind == FRAMING_BAD);
    HOLD(f.kind != FRAMING_LENGTH || f.length > 0);
    return H1_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_splits(data, size, H1_REQUEST);
    return 0;
}
