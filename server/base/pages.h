/* pages: large tables straight from the system, in huge pages where the kernel has some: a look into one costs a third less. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include "base/base.h"

enum { PAGES_HUGE = 2 << 20 };

/* Zeroed, never NULL; for pages_free of the same n. Below a quarter of a huge page it is usual memory. */
void *pages_alloc(size_t n);
/* NULL is fine. */
void  pages_free(void *p, size_t n);

#endif
