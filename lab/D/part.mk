# D: shadow page tables.
D_FILE     ?= lab/D/paging.c
D_REPLACES := vmm/mmu_walk.c vmm/shadow_view.c
D_HIDES    := vmm/mmu_pae.c tests/mmu_model.c
D_ITEMS    := lab/D/tests.c lab/D/tests_guests.c tests/emu_fixture.c \
              $(wildcard tests/mmu_model.c)
D_GUESTS   := minios.elf minios-programs.a
D_RUN       = --stats $(O)/guest/minios.elf --module $(O)/guest/minios-programs.a \
              --append "script=forktest;lazy;crash"
