#include "conform.h"
#define S(n) void n(void){}
S(cases_softint) S(cases_iret) S(cases_exceptions) S(cases_step) S(cases_undefined) S(cases_limits) S(cases_prefix)
