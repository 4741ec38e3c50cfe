# B: the instructions that do not trap.
B_FILE     ?= lab/B/silent.c
B_REPLACES := decoder/descend.c vmm/emu/store.c
B_HIDES    :=
B_ITEMS    := lab/B/tests.c lab/B/kernel.c lab/B/stores.c lab/B/conform.c tests/emu_fixture.c
B_GUESTS   := peek.elf minios.elf conform.elf
B_RUN       = --timeout 30 --stats $(O)/guest/peek.elf
