"""Numbers and what stands beside them: signs, bounds, units, scales, things counted, times and dates."""

import pytest

from virgo_factory.answers import Question, judge


BESIDE_SAME = [
    ("2", "2 boys"), ("2 boys", "2"), ("4 edges", "4 edge"), ("12 apples", "There are 12 apples"), ("3", "Jane left 3 hours ago"), ("5 km east", "5 km to the east"), ("5 years older", "5 years"), ("90°", "90° clockwise"),
    ("5 km east", "5 km", "How many km east of the tower is it?"), ("44 BC", "44 BCE"), ("AD 79", "79 AD"), ("28", "28 different pizzas"), ("2 red balls", "2 balls"), ("9", "9 customers"), ("7", "7 apples left"), ("3", "3 more"),
    ("12个苹果", "12"), ("12", "一共有12个苹果"), ("3个苹果", "3个 苹果"), ("5只羊", "5只"), ("40° N", "40°N"), ("向东5千米", "向东5千米"), ("5 million people", "5,000,000"),
]  # fmt: skip
BESIDE_OTHER = [
    ("2 boys", "2 girls"), ("4 edges", "4 vertices"), ("5 km east", "5 km west"), ("5 years older", "5 years younger"), ("90° clockwise", "90° counterclockwise"), ("44 BC", "44 AD"), ("40° N", "40° S"), ("3 steps up", "3 steps down"),
    ("2 days before", "2 days after"), ("3 to the left", "3 to the right"), ("5 red balls", "5 blue balls"), ("10 more", "10 fewer"), ("3 dogs", "3 cats"), ("2", "2 dozen"), ("5 km east", "6 km east"), ("12个苹果", "12个梨"),
    ("向东5千米", "向西5千米"), ("多5", "少5"), ("30° above the horizontal", "30° below the horizontal"), ("5 km north", "5 km northeast"), ("顺时针90度", "逆时针90度"), ("4 faces", "4 corners"), ("大5岁", "小5岁"),
]  # fmt: skip

SIGN_SAME = [
    ("-7", "negative 7"), ("-7", "minus 7"), ("-7", "7 below zero"), ("7", "positive 7"), ("7", "plus 7"), ("-7", "负7"), ("-7", "负七"), ("-5", "零下5"), ("-5°C", "零下5摄氏度"), ("-5", "−5"), ("-5", "－5"), ("-5", "–5"),
    (r"-\frac{1}{2}", "negative one half"), ("-3.5", "minus 3.5"), ("at least 7", r"\ge 7"), ("at least 7", "7 or more"), ("at most 7", "no more than 7"), ("more than 7", "over 7"), ("x \\ge 7", "at least 7"), ("至少7", "不少于7"),
    ("7", "at least 7", "What is the least number of coins?"), ("up to 7", "at most 7"), ("-12", "negative 12 employees"), ("7", "about 7"), ("7", "exactly 7"), ("-7", "The temperature is negative 7"),
]  # fmt: skip
SIGN_OTHER = [
    ("7", "negative 7"), ("7", "minus 7"), ("7", "7 below zero"), ("7", "at least 7"), ("7", "at most 7"), ("7", "more than 7"), ("7", "under 7"), ("7", "up to 7"), ("7", "over 7"), ("at least 7", "at most 7"), ("at least 7", "more than 7"),
    ("7", "负7"), ("7", "至少7"), ("7", "不超过7"), ("5", "零下5"), ("7", "less than 7"), ("7", "7 or more"), ("-7", "7"), ("-7", "positive 7"), ("7", "no fewer than 7"), ("7", "7以上"), ("at least 7", "at least 8"), ("7", "-7"), ("5°C", "零下5°C"),
    ("7", "The temperature is 7 below zero"), ("7", "There are at least 7 birds"),
]  # fmt: skip

UNIT_SAME = [
    ("18 km/h", "5 m/s"), ("5 ft 6 in", "66 inches"), ("3 cm", "30 mm"), ("2 hours", "120 minutes"), ("$5", "5 dollars"), ("50 cents", "$0.50"), ("1 kW", "1000 W"), ("5 m/s", "5 m s^{-1}"), ("5 m/s", "5 meters per second"),
    ("5 m/s^2", "5 m/s²"), ("2 kg", "2000 g"), ("1 lb", "1 pound"), ("£5", "5 pounds"), ("3 N", "3 kg m/s^2"), ("25 °C", "25 degrees Celsius"), ("25 °C", "298.15 K"), ("10 cm^2", "10 square centimeters"), ("1 L", "1000 mL"),
    ("5 MW", "5 megawatts"), ("2 h 30 min", "150 minutes"), ("1 mile", "5280 feet"), ("90 km per hour", "25 m/s"), ("8 g/cm^3", "8000 kg/m^3"), ("15", "15 cm"), ("15 cm", "15"), ("3 m^3", "3 cubic metres"), ("10 Ω", "10 ohms"), ("5 kJ/mol", "5000 J/mol"),
    ("5", "5 widgets"), ("5 widgets", "5 widget"), ("3 μm", "3 micrometers"), ("2 dozen", "24"), ("1 year", "12 months"), ("10 kmh", "10 km/h"), ("30°", "30 degrees"), ("30°", r"30^{\text{o}}"),
]  # fmt: skip
UNIT_OTHER = [
    ("5 m/s", "5 m/s^2"), ("5 mW", "5 MW"), ("5 pounds", "5 kg"), ("5 kJ/mol", "5 J/mol"), ("5 V", "5 A"), ("5 mol", "5 g"), ("5 °C", "5 K"), ("5 °C", "5 °F"), ("3 m", "3 cm"), ("4 cm^2", "4 cm"), ("5 dollars", "5 cents"), ("5 km", "5 miles"),
    ("5 s", "5 min"), ("5 m", "5 s"), ("5 N", "5 J"), ("5 kg", "5 widgets"), ("5 widgets", "5 gadgets"), ("$5", "€5"), ("5 km/h", "5 m/s"), ("5 ft 6 in", "5 ft 7 in"), ("90°", "90 rad"), ("5 mL", "5 ML"), ("1 kg", "1 mg"), ("2 hours", "2 minutes"),
    ("5 g/cm^3", "5 kg/m^3"), ("5 Hz", "5 kHz"), ("5 cubic feet", "5 square feet"), ("5 m", "5 mm"), ("10 Pa", "10 kPa"), ("3 weeks", "3 days"),
]  # fmt: skip

CHINESE_SAME = [
    ("5米", "500厘米"), ("5千米", "5000米"), ("3公里", "3 km"), ("2千克", "2公斤"), ("1斤", "500克"), ("5元", "50角"), ("3元5角", "3.5元"), ("2小时", "120分钟"), ("5平方米", "5 m^2"), ("3立方厘米", "3 cm^3"), ("1.2万", "12000"), ("3亿", "300000000"), ("3万", "30000"),
    ("12", "十二"), ("2/3", "三分之二"), ("0.5", "二分之一"), ("50%", "百分之五十"), ("123", "一百二十三"), ("10500", "一万零五百"), ("12", "约为12"), ("12", "结果等于12"), ("12", "大约12个"), ("5米/秒", "18千米/时"), ("6米", "6"), ("8厘米", "8.0"), ("40海里", "40"),
    ("30度", "30°"), ("1小时30分", "90分钟"), ("5吨", "5000千克"), ("25摄氏度", "25 °C"), ("2", "两个"), ("12", "１２"), ("面积=12", "12"), ("3.5", "三点五"),
]  # fmt: skip
CHINESE_OTHER = [
    ("3", "3亿"), ("3", "3万"), ("3万", "3亿"), ("5米", "5千米"), ("5千克", "5克"), ("5元", "5角"), ("2小时", "2分钟"), ("5平方米", "5平方厘米"), ("5平方米", "5米"), ("12", "二十"), ("2/3", "三分之一"), ("5吨", "5千克"), ("5米", "5秒"), ("3升", "3毫升"), ("1.2万", "1.2"),
    ("5公里", "5里"), ("5斤", "5公斤"), ("5美元", "5元"), ("12", "约为13"), ("百分之五", "百分之六"), ("30度", "30弧度"), ("5立方米", "5平方米"), ("3元5角", "3元6角"), ("5米/秒", "5千米/时"), ("十二", "二十一"), ("5岁", "5年级"),
]  # fmt: skip

TIME_SAME = [
    ("6 AM", "6:00 am"), ("6 AM", "6 a.m."), ("6 pm", "18:00"), ("6 PM", "6 o'clock in the evening"), ("4:30 pm", "16:30"), ("2:35 P.M.", "14:35"), ("noon", "12:00 pm"), ("midnight", "12 am"), ("下午3点", "3 PM"), ("下午3点半", "15:30"), ("上午9时20分", "9:20 am"),
    ("10 March", "March 10th"), ("March 5, 2012", "2012-03-05"), ("2012年3月5日", "5 March 2012"), ("Monday", "Mon"), ("星期一", "Monday"), ("6 a.m. Monday", "Monday at 6 am"), ("October", "Oct."), ("4:30", "4:30 pm"), ("3月5日", "March 5"), ("12 noon", "noon"),
    ("2 hours and 45 minutes", "165 minutes"), ("周日", "Sunday"),
]  # fmt: skip
TIME_OTHER = [
    ("6 AM", "6 PM"), ("6 am", "18:00"), ("10 March", "10 May"), ("6 a.m. Monday", "6 a.m. Tuesday"), ("4:30 pm", "4:30 am"), ("2:35 PM", "2:36 PM"), ("noon", "midnight"), ("下午3点", "上午3点"), ("下午3点", "下午4点"), ("March 5, 2012", "March 5, 2013"),
    ("Monday", "Sunday"), ("星期一", "星期二"), ("3月5日", "5月3日"), ("12 am", "12 pm"), ("06:00", "6 pm"), ("4:30", "4:20"), ("10 March", "11 March"), ("October", "November"), ("6 AM", "6 km"), ("2 hours and 45 minutes", "2 hours and 54 minutes"), ("3.20", "3:20 pm"),
]  # fmt: skip

SPACE_SAME = [
    ("5/2", "2 1/2"), ("2 1/2", "2.5"), (r"2\frac{1}{2}", "2.5"), ("-2 1/2", "-5/2"), ("1 000", "1000"), ("12 345", "12345"), (r"1\quad 2", "1, 2"), (r"1\,000", "1000"), ("2 x", "2x"), ("3½", "7/2"), ("1 2/3", "5/3"), ("three and a half", "3.5"), ("three-fourths", "3/4"),
    ("two thirds", "2/3"), ("one hundred and five", "105"), ("2 1/2 hours", "150 minutes"), (r"5 \frac{3}{4}", "23/4"), ("half", "1/2"), ("twenty-one", "21"), ("a quarter", "0.25"),
]  # fmt: skip
MEANT_SAME = [
    ("0.3", "3 tenths"), ("3/4", "3 quarters"), ("5/3", "5 thirds"), ("1", "2 halves"), ("1/3", "one third"), (r"\sqrt{3}", "根号3"), ("7", "The number is 7"), ("12", "12 seconds"), ("011", "11"), ("1.5", "one and a half"), ("7", "7 square units"),
]  # fmt: skip
MEANT_OTHER = [
    ("3", "3 tenths"), ("3", "the square root of 3"), ("3", "3 squared"), ("3", "3的平方"), ("3", "根号3"), ("7", "7 is too small"), ("7", "It is never 7"), ("0011", "11"), ("3", "a multiple of 3"), ("24", "half of 24"), ("6", "one more than 6"), ("1/2", "2 halves"),
]  # fmt: skip
SPACE_OTHER = [
    ("21/2", "2 1/2"), ("53/4", "5 3/4"), ("12", r"1\quad 2"), ("12 3", "1 23"), ("12", "1 2"), ("123", "1 2 3"), ("now here", "no where"), ("2 1/2", "2 1/3"), ("11/2", "1 1/2"), ("3/4", "4/3"), ("2.5", "25"), ("21", "twelve"), ("one half", "one third"), ("1000", "1 00"),
    ("3 1/2", "3, 1/2"), ("105", "one hundred and six"), (r"2\frac{1}{2}", r"\frac{2}{2}"), ("7 3/8", "73/8"), ("1/2", "12"), ("one fifth", "five"),
]  # fmt: skip

DIGITS_SAME = [
    ("3.1416", "3.14159"), (r"\pi", "3.14159"), ("1/3", "0.33333"), ("0.0833333", "1/12"), ("2.50", "2.5"), ("1,234.5", "1234.5"), ("1e-3", "0.001"), ("1/12", "0.0833333333"), (r"\sqrt{2}", "1.41421"), ("100938938.1", "100938938.10"), ("0.5", "1/2"), ("6.02e23", r"6.02 \times 10^{23}"),
    ("1.5 million", "1500000"), ("70000000", "70000000.0"), ("10^{3}", "1000"), (r"5!", "120"), (r"\binom{5}{2}", "10"), (r"\sin 30^\circ", "0.5"), (r"\log_2 8", "3"), (r"|-3|", "3"),
]  # fmt: skip
DIGITS_OTHER = [
    ("100938938.08", "100938938.1"), ("100938938.1", "100938938.08"), ("70000000.2", "70000000.15"), ("5", "5.001"), ("1/3", "0.33"), ("3.14159", "3.15"), ("2.5", "2.51"), ("12.34", "12.345"), ("0.75", "75"), ("16386.20", "16386.17"), ("70000000", "70000000.2"), ("3.14", "3.141"),
    ("1.23", "1.234"), ("100", "1000"), ("42", "42.5"), ("0.001", "0.01"), ("1e3", "1e4"), ("5!", "5"), (r"\sqrt{2}", "2"), ("9.99", "10"), (r"|-3|", "-3"), ("12.5", "12.54"),
]  # fmt: skip

ALL_SAME = BESIDE_SAME + SIGN_SAME + UNIT_SAME + CHINESE_SAME + TIME_SAME + SPACE_SAME + DIGITS_SAME + MEANT_SAME
ALL_OTHER = (
    BESIDE_OTHER + SIGN_OTHER + UNIT_OTHER + CHINESE_OTHER + TIME_OTHER + SPACE_OTHER + DIGITS_OTHER + MEANT_OTHER
)


def rows(table):
    return [(row[0], row[1], Question(row[2] if len(row) > 2 else "")) for row in table]


@pytest.mark.parametrize(("gold", "answer", "question"), rows(ALL_SAME))
def test_the_same(gold, answer, question):
    assert judge(answer, gold, question).verdict == "correct"


@pytest.mark.parametrize(("gold", "answer", "question"), rows(ALL_OTHER))
def test_another(gold, answer, question):
    assert judge(answer, gold, question).verdict == "wrong"
    assert judge(gold, answer, question).verdict == "wrong"
