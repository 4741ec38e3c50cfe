# A: trap and emulate.
A_FILE     ?= lab/A/trap.c
A_REPLACES := decoder/trapped.c vmm/emu/attempt.c vmm/emu/flags.c vmm/emu/inout.c vmm/emu/crread.c
A_HIDES    := decoder/operands.c vmm/emu/iret.c
A_ITEMS    := lab/A/tests.c lab/A/attempt_tests.c tests/emu_fixture.c
A_GUESTS   := minios.elf
