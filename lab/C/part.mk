# C: virtual interrupts.
C_FILE     ?= lab/C/interrupts.c
C_REPLACES := vmm/dev/lapic_irqs.c vmm/dev/lapic_count.c vmm/deliver.c vmm/emu/frame.c
C_HIDES    := vmm/emu/transfer.c
C_ITEMS    := lab/C/tests.c lab/C/frame_tests.c lab/C/guest_tests.c tests/emu_fixture.c \
              tests/deliver_guest.c
C_GUESTS   := minios.elf
C_RUN       = --stats $(O)/guest/minios.elf -append demo
