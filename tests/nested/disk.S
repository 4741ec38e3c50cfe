/* SPDX-License-Identifier: MIT */
/*
 * A disk that is a Linux kernel: sector 0 is a master boot record, which reads the rest of this program with the BIOS; that reads
 * the uncompressed kernel and the initramfs with the disk's own ports (ATA PIO, LBA28) to where they belong and enters the kernel
 * by its 64-bit boot protocol (Linux, Documentation/x86/boot.rst, "64-bit Boot Protocol"), with memory mapped one to one.
 *
 * To be defined: KERNEL_SECTORS, INITRD_SECTORS, INITRD_SIZE (bytes). Files: "setup-header" (of the bzImage, from 0x1f1),
 * "cmdline" (ends with a zero byte).
 */
.set SELF_SECTORS, 24
.set TABLES, 0x70000
.set KERNEL, 0x1000000
.set INITRD, 0x8000000

.code16
.globl _start
_start:
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    cld
    mov $0x42, %ah           /* extended read; dl is the drive that the BIOS booted */
    mov $packet, %si
    int $0x13
    jc fail
    xor %ebx, %ebx           /* the memory map: INT 15h, AX=E820h */
    mov $params + 0x2d0, %di
2:  mov $0xe820, %eax
    mov $20, %ecx
    mov $0x534d4150, %edx
    int $0x15
    jc 3f
    add $20, %di
    incb params + 0x1e8
    test %ebx, %ebx
    jnz 2b
3:  cli
    in $0x92, %al            /* A20 */
    or $2, %al
    out %al, $0x92
    lgdt gdtr
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmp $8, $protected
fail:
    mov $0xe9, %dx
    mov $'!', %al
    out %al, %dx
    hlt
    jmp fail
packet:
    .byte 16, 0
    .word SELF_SECTORS - 1, 0x7e00, 0
    .quad 1
.org 510
    .word 0xaa55

.code32
protected:
    mov $24, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    movb $0xff, params + 0x210            /* type_of_loader: none that has a number */
    movl $cmdline, params + 0x228
    movl $INITRD, params + 0x218
    movl $INITRD_SIZE, params + 0x21c

    mov $SELF_SECTORS, %ebx
    mov $KERNEL, %edi
    mov $KERNEL_SECTORS, %ebp
    call load
    mov $INITRD, %edi
    mov $INITRD_SECTORS, %ebp
    call load

    mov $TABLES, %edi                     /* the first GiB, in pages of 2 MiB */
    xor %eax, %eax
    mov $0xc00, %ecx
    rep stosl
    movl $TABLES + 0x1003, TABLES
    movl $TABLES + 0x2003, TABLES + 0x1000
    mov $0x83, %eax
    mov $TABLES + 0x2000, %edi
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    cmp $0x40000000, %eax
    jb 1b
    mov $TABLES, %eax
    mov %eax, %cr3
    mov $0x20, %eax                       /* PAE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx                 /* EFER.LME */
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    mov $params, %esi
    ljmp $16, $long_mode

/* Reads ebp sectors from sector ebx on to edi, 255 at a time (a count of one byte); all three are advanced. */
load:
    test %ebp, %ebp
    jz 9f
    mov $0x1f2, %edx
    mov $255, %ecx
    cmp %ecx, %ebp
    cmovb %ebp, %ecx
    mov %cl, %al
    out %al, %dx
    mov %ebx, %eax
    inc %edx
    out %al, %dx
    shr $8, %eax
    inc %edx
    out %al, %dx
    shr $8, %eax
    inc %edx
    out %al, %dx
    shr $8, %eax
    or $0xe0, %al                         /* LBA, drive 0 */
    inc %edx
    out %al, %dx
    inc %edx
    mov $0x20, %al                        /* READ SECTORS */
    out %al, %dx
    add %ecx, %ebx
    sub %ecx, %ebp
2:  mov $0x1f7, %edx
3:  in %dx, %al
    test $0x80, %al                       /* BSY */
    jnz 3b
    test $0x08, %al                       /* DRQ */
    jz 3b
    mov $0x1f0, %edx
    push %ecx
    mov $128, %ecx
    rep insl
    pop %ecx
    loop 2b
    jmp load
9:  ret

.code64
long_mode:
    mov $KERNEL, %eax
    jmp *%rax

.balign 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff              /* 0x08: code, 32 bits */
    .quad 0x00af9a000000ffff              /* 0x10: code, 64 bits; __BOOT_CS */
    .quad 0x00cf92000000ffff              /* 0x18: data; __BOOT_DS */
gdtr:
    .word . - gdt - 1
    .long gdt

.org 0x1000
params:                                    /* struct boot_params, the "zero page" */
    .zero 0x1f1
    .incbin "setup-header"
    .org 0x2000
cmdline:
    .incbin "cmdline"
    .org SELF_SECTORS * 512 - 1
    .byte 0
