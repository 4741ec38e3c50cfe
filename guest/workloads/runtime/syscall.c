/* SPDX-License-Identifier: MIT */
/* System calls that do nothing but compute their result. */
#include "workload.h"

void on_syscall(void);
__asm__(".text\n"
	".type on_syscall, @function\n"
	"on_syscall:\n\t"
	"imull	$16777619, %eax\n\t"
	"xorl	%ecx, %eax\n\t"
	"iret\n\t"
	".size on_syscall, . - on_syscall\n");

static USER_CODE __attribute__((noreturn)) void user_syscalls(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	while (n--)
		__asm__ volatile("int %1" : "+a"(sum) : "i"(VEC_SYSCALL), "c"(n) : "memory", "cc");
	user_leave(sum);
}

uint32_t syscalls(uint32_t n)
{
	idt_gate(VEC_SYSCALL, on_syscall, 3);
	return run_user(user_syscalls, n);
}
