"""What a JsonLogic rule means, in the cases that its own test suite (jsonlogic.com/tests.json) puts.

Each line is a rule, the data it is applied to, and what comes of it. The last ones are of our own: what JavaScript answers.
"""

from typing import Any

import msgspec
import pytest
from json_logic import jsonLogic

from shared.domain.audience import _OPERATORS, OPERATORS

CASES = """
{"==":[1,1]}   {}   true
{"==":[1,"1"]}   {}   true
{"==":[1,2]}   {}   false
{"===":[1,1]}   {}   true
{"===":[1,"1"]}   {}   false
{"===":[1,2]}   {}   false
{"!=":[1,2]}   {}   true
{"!=":[1,1]}   {}   false
{"!=":[1,"1"]}   {}   false
{"!==":[1,2]}   {}   true
{"!==":[1,1]}   {}   false
{"!==":[1,"1"]}   {}   true
{">":[2,1]}   {}   true
{">":[1,1]}   {}   false
{">":[1,2]}   {}   false
{">":["2",1]}   {}   true
{">=":[2,1]}   {}   true
{">=":[1,1]}   {}   true
{">=":[1,2]}   {}   false
{">=":["2",1]}   {}   true
{"<":[2,1]}   {}   false
{"<":[1,1]}   {}   false
{"<":[1,2]}   {}   true
{"<":["1",2]}   {}   true
{"<=":[2,1]}   {}   false
{"<=":[1,1]}   {}   true
{"<=":[1,2]}   {}   true
{"<=":["1",2]}   {}   true
{"<":[1,2,3]}   {}   true
{"<":[1,1,3]}   {}   false
{"<":[1,4,3]}   {}   false
{"<=":[1,2,3]}   {}   true
{"<=":[1,1,3]}   {}   true
{"<=":[1,4,3]}   {}   false
{"!":[false]}   {}   true
{"!":false}   {}   true
{"!":[true]}   {}   false
{"!":true}   {}   false
{"!":0}   {}   true
{"!":1}   {}   false
{"or":[true,true]}   {}   true
{"or":[false,true]}   {}   true
{"or":[false,false]}   {}   false
{"or":[false]}   {}   false
{"or":[false,true,false]}   {}   true
{"or":[1,3]}   {}   1
{"or":[3,false]}   {}   3
{"or":[false,3]}   {}   3
{"or":[false,"a"]}   {}   "a"
{"or":[false,"0"]}   {}   "0"
{"and":[true,true]}   {}   true
{"and":[false,true]}   {}   false
{"and":[true,true,false]}   {}   false
{"and":[1,3]}   {}   3
{"and":[3,false]}   {}   false
{"and":["a",false]}   {}   false
{"and":["",3]}   {}   ""
{"?:":[true,1,2]}   {}   1
{"?:":[false,1,2]}   {}   2
{"in":["Bart",["Bart","Homer","Lisa","Marge","Maggie"]]}   {}   true
{"in":["Milhouse",["Bart","Homer"]]}   {}   false
{"in":["Spring","Springfield"]}   {}   true
{"in":["i","team"]}   {}   false
{"cat":"ice"}   {}   "ice"
{"cat":["ice"]}   {}   "ice"
{"cat":["ice","cream"]}   {}   "icecream"
{"cat":[1,2]}   {}   "12"
{"cat":["Robocop",2]}   {}   "Robocop2"
{"%":[1,2]}   {}   1
{"%":[2,2]}   {}   0
{"%":[3,2]}   {}   1
{"max":[1,2,3]}   {}   3
{"max":[1,3,3]}   {}   3
{"max":[1]}   {}   1
{"min":[1,2,3]}   {}   1
{"min":[1,1,3]}   {}   1
{"+":[1,2]}   {}   3
{"+":[2,2,2]}   {}   6
{"+":[1]}   {}   1
{"+":["1",1]}   {}   2
{"+":"3.14"}   {}   3.14
{"*":[3,2]}   {}   6
{"*":[2,2,2]}   {}   8
{"*":["1",1]}   {}   1
{"-":[2,3]}   {}   -1
{"-":[3]}   {}   -3
{"-":["1",1]}   {}   0
{"/":[4,2]}   {}   2
{"/":[2,4]}   {}   0.5
{"substr":["jsonlogic",4]}   null   "logic"
{"substr":["jsonlogic",-5]}   null   "logic"
{"substr":["jsonlogic",0,1]}   null   "j"
{"substr":["jsonlogic",-1,1]}   null   "c"
{"substr":["jsonlogic",4,5]}   null   "logic"
{"substr":["jsonlogic",-5,5]}   null   "logic"
{"substr":["jsonlogic",-5,-2]}   null   "log"
{"substr":["jsonlogic",1,-5]}   null   "son"
{"merge":[]}   null   []
{"merge":[[1]]}   null   [1]
{"merge":[[1],[]]}   null   [1]
{"merge":[[1],[2]]}   null   [1,2]
{"merge":[[1],[2,3]]}   null   [1,2,3]
{"merge":[1,2,[3]]}   null   [1,2,3]
{"merge":1}   null   [1]
{"var":["a"]}   {"a":1}   1
{"var":["b"]}   {"a":1}   null
{"var":["a"]}   null   null
{"var":"a"}   {"a":1}   1
{"var":["a",1]}   null   1
{"var":["b",2]}   {"a":1}   2
{"var":"a.b"}   {"a":{"b":"c"}}   "c"
{"var":"a.q"}   {"a":{"b":"c"}}   null
{"var":["a.q",9]}   {"a":{"b":"c"}}   9
{"var":1}   ["apple","banana"]   "banana"
{"var":"1"}   ["apple","banana"]   "banana"
{"var":"1.1"}   ["apple",["banana","beer"]]   "beer"
{"and":[{"<":[{"var":"temp"},110]},{"==":[{"var":"pie.filling"},"apple"]}]}   {"temp":100,"pie":{"filling":"apple"}}   true
{"var":[{"?:":[{"<":[{"var":"temp"},110]},"pie.filling","pie.eta"]}]}   {"temp":100,"pie":{"filling":"apple"}}   "apple"
{"in":[{"var":"filling"},["apple","cherry"]]}   {"filling":"apple"}   true
{"var":"a.b.c"}   null   null
{"var":"a.b.c"}   {"a":null}   null
{"var":"a.b.c"}   {"a":{"b":null}}   null
{"var":""}   1   1
{"var":null}   1   1
{"var":[]}   1   1
{"missing":[]}   null   []
{"missing":["a"]}   null   ["a"]
{"missing":"a"}   null   ["a"]
{"missing":"a"}   {"a":"apple"}   []
{"missing":["a","b"]}   {"a":"apple"}   ["b"]
{"missing":["a","b"]}   {"b":"banana"}   ["a"]
{"missing":["a.b"]}   null   ["a.b"]
{"missing":["a.b"]}   {"a":{"b":"apple cake"}}   []
{"missing":{"merge":["vin",{"if":[{"var":"financing"},["apr"],[]]}]}}   {"financing":true}   ["vin","apr"]
{"missing_some":[1,["a","b"]]}   {"a":"apple"}   []
{"missing_some":[1,["a","b"]]}   {"b":"banana"}   []
{"missing_some":[1,["a","b"]]}   {"c":"carrot"}   ["a","b"]
{"missing_some":[2,["a","b","c"]]}   {"a":"apple","b":"banana"}   []
{"missing_some":[2,["a","b","c"]]}   {"a":"apple","d":"durian"}   ["b","c"]
{"if":[{"missing":"a"},"missed it","found it"]}   {"a":"apple"}   "found it"
{"if":[{"missing":"a"},"missed it","found it"]}   {"b":"banana"}   "missed it"
{"if":[]}   null   null
{"if":[true]}   null   true
{"if":[false]}   null   false
{"if":["apple"]}   null   "apple"
{"if":[true,"apple"]}   null   "apple"
{"if":[false,"apple"]}   null   null
{"if":[true,"apple","banana"]}   null   "apple"
{"if":[false,"apple","banana"]}   null   "banana"
{"if":[[],"apple","banana"]}   null   "banana"
{"if":[[1],"apple","banana"]}   null   "apple"
{"if":["","apple","banana"]}   null   "banana"
{"if":["zucchini","apple","banana"]}   null   "apple"
{"if":["0","apple","banana"]}   null   "apple"
{"if":[0,"apple","banana"]}   null   "banana"
{"if":[true,"apple",true,"banana"]}   null   "apple"
{"if":[false,"apple",true,"banana"]}   null   "banana"
{"if":[false,"apple",false,"banana","carrot"]}   null   "carrot"
{"if":[false,"apple",false,"banana"]}   null   null
{"if":[{"<":[{"var":"t"},0]},"freezing",{"<":[{"var":"t"},100]},"liquid","gas"]}   {"t":55}   "liquid"
{"filter":[{"var":"integers"},true]}   {"integers":[1,2,3]}   [1,2,3]
{"filter":[{"var":"integers"},{">=":[{"var":""},2]}]}   {"integers":[1,2,3]}   [2,3]
{"filter":[{"var":"integers"},{"%":[{"var":""},2]}]}   {"integers":[1,2,3]}   [1,3]
{"map":[{"var":"integers"},{"*":[{"var":""},2]}]}   {"integers":[1,2,3]}   [2,4,6]
{"map":[{"var":"integers"},{"*":[{"var":""},2]}]}   null   []
{"map":[{"var":"desserts"},{"var":"qty"}]}   {"desserts":[{"name":"apple","qty":1},{"name":"brownie","qty":2}]}   [1,2]
{"all":[{"var":"integers"},{">=":[{"var":""},1]}]}   {"integers":[1,2,3]}   true
{"all":[{"var":"integers"},{"==":[{"var":""},1]}]}   {"integers":[1,2,3]}   false
{"all":[{"var":"integers"},{">=":[{"var":""},1]}]}   {"integers":[]}   false
{"none":[{"var":"integers"},{">=":[{"var":""},1]}]}   {"integers":[1,2,3]}   false
{"none":[{"var":"integers"},{"<":[{"var":""},1]}]}   {"integers":[1,2,3]}   true
{"none":[{"var":"integers"},{">=":[{"var":""},1]}]}   {"integers":[]}   true
{"some":[{"var":"integers"},{"==":[{"var":""},1]}]}   {"integers":[1,2,3]}   true
{"some":[{"var":"integers"},{"<":[{"var":""},1]}]}   {"integers":[1,2,3]}   false
{"some":[{"var":"integers"},{">=":[{"var":""},1]}]}   {"integers":[]}   false
{"some":[{"var":"items"},{"<":[{"var":"qty"},1]}]}   {"items":[{"qty":1,"sku":"apple"},{"qty":2}]}   false
{"!":[[]]}   {}   true
{"!!":[[]]}   {}   false
{"!!":["0"]}   {}   true
{"!!":[""]}   {}   false
{"!!":[0]}   {}   false
{"==":[null,0]}   {}   false
{"==":[0,false]}   {}   true
{"==":["1",true]}   {}   true
{"===":[1,true]}   {}   false
{"===":[0,false]}   {}   false
{"!==":[1,true]}   {}   true
{"in":[1,[true]]}   {}   false
{"==":[[1],"1"]}   {}   true
{"==":[null,null]}   {}   true
{"%":[-1,2]}   {}   -1
{"%":[-7,3]}   {}   -1
{"%":[7,-3]}   {}   1
{"in":["a",null]}   {}   false
{"in":[1,"123"]}   {}   true
{"cat":[1.0,"x"]}   {}   "1x"
{"cat":[true]}   {}   "true"
{"===":[1,1.0]}   {}   true
{"==":[1.5,"1.5"]}   {}   true
"""


def parted(line: str) -> list[Any]:
    return [msgspec.json.decode(part) for part in line.split("   ")]


@pytest.mark.parametrize("line", CASES.strip().split("\n"))
def test_a_rule_means_what_json_logic_says(line: str) -> None:
    rule, data, expected = parted(line)
    told = jsonLogic(rule, data, _OPERATORS)
    assert (told, isinstance(told, bool)) == (expected, isinstance(expected, bool))


def test_every_operator_is_among_the_rules() -> None:
    assert {name for line in CASES.strip().split("\n") for name in parted(line)[0]} == OPERATORS
