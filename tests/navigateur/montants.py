"""Des montants tapés : le serveur et le script de l'étape 2 les lisent pareil."""

LUS = {
    "16": 16_00,
    "016": 16_00,
    "16,5": 16_50,
    "16.50": 16_50,
    "16€50": 16_50,
    "16 € 50": 16_50,
    "€16": 16_00,
    "16\N{NO-BREAK SPACE}€": 16_00,
    "20\N{NARROW NO-BREAK SPACE}": 20_00,
    "20 euros": 20_00,
    "\N{ZERO WIDTH NO-BREAK SPACE}20\N{ZERO WIDTH SPACE}": 20_00,
    "\N{LEFT-TO-RIGHT MARK} 20,00 €\N{WORD JOINER} ": 20_00,
    "16,00 EUR": 16_00,
    "1 euro": 1_00,
    "1 000,00": 1_000_00,
    "1\N{NARROW NO-BREAK SPACE}000": 1_000_00,
}
# fmt: off
ILLISIBLES = [
    "", " ", "€", ",50", "16,", "16.", "16,505", "16,00,00", "16.00.", "1.000", "1,000", "1.234,56",
    "2€5", "16€500", "16€,50", "16€50€", "20 €.", "20 dollars", "$20", "20c", "16h50", "16;50", "16'50",
    "1 6,00", "16 50", "12 34", "1 60", "16, 50", "16\N{THIN SPACE},00",
    "+20", "-20", "\N{MINUS SIGN}20", "20-", "2e1", "0x10", "16½", "²0", "vingt",
    "١٦", "１６", "\N{DEVANAGARI DIGIT TWO}0", "16\N{ZERO WIDTH SPACE}50",
]
