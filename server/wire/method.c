#include "wire/method.h"

static const struct method_row rows[] = {
    { TEXT_INIT(""), false, false },
#define X(name, safe, idempotent) { TEXT_INIT(#name), safe, idempotent },
    METHODS(X)
#undef X
};

enum method method_lookup(struct text name)
{
    if (likely(name.n == 3 && memcmp(name.p, "GET", 3) == 0)) return METHOD_GET;
    for (size_t m = METHOD_HEAD; m < METHOD_COUNT; m++) {
        if (rows[m].name.n == name.n && memcmp(rows[m].name.p, name.p, name.n) == 0) return (enum method) m;
    }
    return METHOD_OTHER;
}

const struct method_row *method_row(enum method m)
{
    ASSERT(m < METHOD_COUNT);
    return &rows[m];
}
