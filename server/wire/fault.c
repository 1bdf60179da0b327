#include "wire/fault.h"

static const struct fault_row rows[] = {
#define X(number, status_, section_, words_) { #number, words_, section_, status_ },
    FAULTS(X)
#undef X
};

const struct fault_row *fault_row(enum fault f)
{
    ASSERT(f < FAULT_COUNT);
    return &rows[f];
}
