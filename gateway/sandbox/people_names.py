"""Given names for the sample customers, forty to a place."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GREEK = _names("""
    Ελένη Νίκος Μαρία Γιώργος Κατερίνα Δημήτρης Σοφία Κώστας Άννα Γιάννης Βασιλική Πέτρος Ιωάννα Στέλιος Δέσποινα
    Θανάσης Ευγενία Μιχάλης Χριστίνα Παύλος Αγγελική Ανδρέας Ειρήνη Σπύρος Δήμητρα Λευτέρης Ζωή Τάσος Φωτεινή
    Μάνος Ροδάνθη Ηλίας Μυρτώ Αλέξης Θάλεια Στράτος Χαρά Ορέστης Νεφέλη Φίλιππος
""")
SIMPLIFIED = _names("""
    小雨 晓明 佳怡 志强 雪梅 文博 思远 丽华 建国 诗涵 海涛 欣然 子墨 春燕 国栋 雅婷 俊杰 晨曦 玉兰 浩然 梦洁 天宇 秀英 立新 若曦 启航 静怡 明辉 美玲 云帆 桂花 宏伟 安琪
    学文 小兰 永康 紫萱 振华 可欣 向东
""")
TRADITIONAL = _names("""
    嘉欣 家豪 詠詩 志明 美儀 俊傑 曉彤 偉強 慧敏 子軒 麗珍 浩賢 雪瑩 國輝 穎琳 文傑 佩玲 卓然 淑芬 樂兒 建華 思穎 永業 翠儀 展鵬 靜雯 達明 芷晴 啟泰 婉婷 兆基 倩彤 漢文
    凱琳 德輝 雅文 景行 秀蘭 逸朗 寶儀
""")
ENGLISH_GB = _names("""
    Imogen Alfie Priya Rhys Beatrice Callum Nadia Oliver Saoirse Kwame Harriet Euan Zara Gareth Florence Tariq
    Maisie Angus Yasmin Rupert Bronwen Declan Olive Femi Tabitha Hamish Anjali Barnaby Freya Idris Poppy Alistair
    Ngozi Finlay Cordelia Rohan Matilda Owain Leila Fergus
""")
ENGLISH_US = _names("""
    Savannah Tyler Marisol Wyatt Keisha Brandon Emilia Jamal Paige Mateo Harper Dwayne Skylar Hector Autumn Tyrone
    Camila Landon Aaliyah Cody Delilah Marcus Juniper Rafael Brooklyn Elijah Xiomara Travis Willow Andre Penelope
    Luis Hazel Desmond Valeria Grant Naomi Trevor Esperanza Miles
""")
